"""Answers as bytes."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec
from starlette.responses import Response

_encoder: Final = msgspec.json.Encoder()


def encoded(value: Any) -> bytes:
    """Compact JSON; integers of any size."""
    return _encoder.encode(value)


def answered(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        encoded(body), status_code=status, headers=headers, media_type="application/json"
    )


def read(body: Any, position: int) -> Response:
    """The answer to a read that is true at that position, for api/conditional.py to compare."""
    answer = answered(body, headers={"Ledger-Position": str(position)})
    answer.headers["ETag"] = f'"{blake2b(answer.body, digest_size=16).hexdigest()}"'
    return answer


def listed(items: Sequence[Any], next_cursor: str | None, position: int) -> Response:
    """A page of a list."""
    return read({"items": items, "next_cursor": next_cursor, "position": position}, position)
