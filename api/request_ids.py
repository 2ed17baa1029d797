"""A request's id: the client's where it is safe to repeat, else made here."""

import itertools
import re
import secrets
from typing import Any, Final

# Unique, and not a secret: the system's randomness is asked once, not once a request.
_PROCESS: Final = secrets.token_hex(8)
_number: Final = itertools.count(1)
_SAFE: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}", re.ASCII)


def request_id(sent: str | None) -> str:
    """The id sent where it is 1 to 64 safe characters, else a new one."""
    return sent if sent and _SAFE.fullmatch(sent) else f"{_PROCESS}-{next(_number):x}"


def request_id_of(scope: Any) -> str:
    """The id that the edge has given a request (see api/edge.py)."""
    return str(scope["state"]["request_id"])
