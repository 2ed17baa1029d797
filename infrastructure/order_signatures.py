"""Signed orders: compact JWS (RFC 7515) by Ed25519 (`EdDSA`, RFC 8037), and the keys to verify.

The key is made of the server secret; the one before verifies while TALLY_SECRET_PREVIOUS is set.
"""

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infrastructure.secret import Secrets

MEDIA_TYPE: Final = "application/jose"


class OrderSigner:
    def __init__(self, secrets: Secrets) -> None:
        keys = [
            Ed25519PrivateKey.from_private_bytes(seed) for seed in secrets.derived("order keys")
        ]
        self._key = keys[0]
        published = [_published(key) for key in keys]
        self._header = {"alg": "EdDSA", "kid": published[0]["kid"]}
        self.jwks: Final = {"keys": published}
        """The JWK set (RFC 7517) that whoever verifies needs."""

    def sign(self, order: Mapping[str, Any]) -> str:
        """The order as a compact JWS: three parts of base64url, joined by dots."""
        signed = f"{_encoded(_json(self._header))}.{_encoded(_json(order))}"
        return f"{signed}.{_encoded(self._key.sign(signed.encode()))}"


def _published(key: Ed25519PrivateKey) -> dict[str, str]:
    jwk = {
        "crv": "Ed25519",
        "kty": "OKP",
        "x": _encoded(key.public_key().public_bytes_raw()),
    }
    # The thumbprint of RFC 7638: of these members alone, in this order.
    return {
        **jwk,
        "kid": _encoded(hashlib.sha256(_json(jwk)).digest()),
        "alg": "EdDSA",
        "use": "sig",
    }


def _json(members: Mapping[str, Any]) -> bytes:
    return json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
