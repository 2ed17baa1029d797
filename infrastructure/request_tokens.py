"""The token in a payment request's URL: who has it may see the order, nobody can guess it.

No event has it: it is the request's id and 128 bits of HMAC-SHA-256 over that by a server secret,
43 characters of base64url. So it is shown again at a replay, finds its request by itself, and
stays the same while the request is changed. The request keeps which secret it was made with:
while that one is live the token is the same; when it is gone, the token is gone too.
"""

import binascii
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final
from uuid import UUID

from infrastructure.secret import Secrets

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_MAC_BYTES: Final = 16


class RequestTokens:
    def __init__(self, secrets: Secrets) -> None:
        keys = secrets.derived("payment request tokens")
        names = [binascii.hexlify(_mac(key, b"name")[:4]).decode() for key in keys]
        self._keys = dict(zip(names, keys, strict=True))
        self.key = names[0]
        """Names the secret that new requests get their token by."""

    def token(self, request: UUID, key: str) -> str | None:
        """The token made with the secret of that name; None where it is live no more."""
        if key not in self._keys:
            return None
        made = request.bytes + _mac(self._keys[key], request.bytes)
        return urlsafe_b64encode(made).decode().rstrip("=")

    def request(self, token: str) -> UUID | None:
        """The id of the request that a token is of; None for what is no token of a live secret."""
        if not _TOKEN.fullmatch(token):
            return None
        made = urlsafe_b64decode(token + "=")
        id_, mac = made[:-_MAC_BYTES], made[-_MAC_BYTES:]
        # Bits that base64 has to spare are zero in ours: a token has one way to be written.
        if urlsafe_b64encode(made).decode().rstrip("=") != token:
            return None
        good = [hmac.compare_digest(_mac(key, id_), mac) for key in self._keys.values()]
        return UUID(bytes=id_) if any(good) else None


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")[:_MAC_BYTES]
