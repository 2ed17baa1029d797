"""The code that a phone without network makes, from what it was given when it was registered."""

import binascii
import re
import sys
from base64 import b32decode
from datetime import UTC, datetime
from getpass import getpass
from typing import Final, NamedTuple

from api.cli.output import CannotRun
from domain.device import SKEW, STEP_S, step_at
from infrastructure.devices import HANDLE_DIGITS, SECRET_BYTES, offline_code

_HANDLE: Final = re.compile(f"[0-9]{{{HANDLE_DIGITS}}}")


class OfflineCode(NamedTuple):
    code: str
    expires_at: str
    """When the ledger takes it no more, if the phone's clock is right."""


def made_offline(prefix: str, handle: str, secret: str | None, now: datetime) -> OfflineCode:
    """The device's code of now; a secret that isn't given is asked for. Raises CannotRun."""
    if not _HANDLE.fullmatch(handle):
        raise CannotRun(f"--offline takes the device's handle, {HANDLE_DIGITS} digits")
    step = step_at(now)
    code = offline_code(prefix, handle, _decoded(_asked() if secret is None else secret), step)
    over = datetime.fromtimestamp((step + SKEW + 1) * STEP_S, UTC)
    return OfflineCode(code, f"{over:%Y-%m-%dT%H:%M:%S.%fZ}")


def _asked() -> str:
    """On a terminal without showing it; else the first line of standard input."""
    if sys.stdin.isatty():
        return getpass("secret: ", sys.stderr)
    return sys.stdin.readline()


def _decoded(secret: str) -> bytes:
    try:
        decoded = b32decode(secret.strip(), casefold=True)
    except binascii.Error:
        decoded = b""
    if len(decoded) != SECRET_BYTES:
        raise CannotRun(
            f"a device's secret is base32 of {SECRET_BYTES} bytes, as its registration showed it"
        )
    return decoded
