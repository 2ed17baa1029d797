"""A request's id: the client's where it is safe to repeat, else made here."""

import re
import secrets
from typing import Any, Final

_SAFE: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)


def request_id(sent: str | None) -> str:
    """The id sent where it is 1 to 64 safe characters, else a new one of 32 hex digits."""
    return sent if sent and _SAFE.fullmatch(sent) else secrets.token_hex(16)


def request_id_of(scope: Any) -> str:
    """The id that the edge has given a request (see api/edge.py)."""
    return str(scope["state"]["request_id"])
