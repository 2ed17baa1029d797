"""Pay codes' digits: derived, so that no code is stored, and found by keyed hash.

    digits   prefix, HMAC-SHA-256(secret, "tallystick pay code digits" + command) mod 10^19, Luhn
    stream   the first 122 bits of HMAC-SHA-256(secret, "tallystick pay code" + digits): a UUID of
             version 8 (RFC 9562)

While the secret is being changed a code is looked for under both; its id stays what it is.
"""

from __future__ import annotations

import hmac
from typing import Final
from uuid import UUID

from domain.code_digits import with_check_digit
from infrastructure.secret import Secrets

RANDOM_DIGITS: Final = 19

_DIGITS: Final = b"tallystick pay code digits"
_STREAM: Final = b"tallystick pay code"


class PayCodes:
    def __init__(self, secrets: Secrets, *, prefix: str) -> None:
        self._secrets = secrets
        self._prefix = prefix

    def issued(self, command: UUID) -> UUID:
        """The stream of the code that the command makes."""
        current = self._secrets.current
        return _stream(current, self._digits(current, command))

    def digits(self, command: UUID, pay_code: UUID) -> str | None:
        """The 24 digits of the code that the command made; None where they were made by a secret,
        or a prefix, that is no more in use."""
        for secret in self._secrets.live:
            digits = self._digits(secret, command)
            if _stream(secret, digits) == pay_code:
                return digits
        return None

    def streams(self, text: str) -> tuple[UUID, ...]:
        """The streams that a pay code shown as this text may have, whatever the text."""
        return tuple(_stream(secret, text) for secret in self._secrets.live)

    def _digits(self, secret: str, command: UUID) -> str:
        digest = hmac.digest(secret.encode(), _DIGITS + command.bytes, "sha256")
        number = int.from_bytes(digest, "big") % 10**RANDOM_DIGITS
        return with_check_digit(f"{self._prefix}{number:0{RANDOM_DIGITS}}")


def _stream(secret: str, text: str) -> UUID:
    # A lone surrogate is text that was sent as well: it is looked for, and not found.
    message = _STREAM + text.encode(errors="surrogatepass")
    digest = bytearray(hmac.digest(secret.encode(), message, "sha256")[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return UUID(bytes=bytes(digest))
