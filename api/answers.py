"""Answers as bytes."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response


def encoded(value: Any) -> bytes:
    """Compact JSON; integers of any size, since sums may exceed 64 bits."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def answered(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        encoded(body), status_code=status, headers=headers, media_type="application/json"
    )


def read(body: Any, position: int) -> Response:
    """The answer to a read that is true at that position."""
    return answered(body, headers={"Ledger-Position": str(position)})
