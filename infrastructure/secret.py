"""The server secret (TALLY_SECRET): what it keys, and that all processes of a store share it.

To change it, every process is started with the new one as TALLY_SECRET and the old one as
TALLY_SECRET_PREVIOUS; keys found by the old one's hash are hashed anew as they are used.
"""

import hmac
from collections.abc import Callable
from typing import Any, NamedTuple

from psycopg import Connection
from psycopg.rows import tuple_row

from infrastructure.cannot_start import CannotStart

KeyHashes = Callable[[str], tuple[bytes, ...]]
"""The hashes under which an API key may be stored: by the secret, then by the one before."""


class Secrets(NamedTuple):
    """The server secret, and the one before while it is being changed."""

    current: str
    previous: str | None

    @property
    def live(self) -> tuple[str, ...]:
        """The present one first."""
        return (self.current,) if self.previous is None else (self.current, self.previous)

    def hashes(self) -> KeyHashes:
        return lambda api_key: tuple(key_hash(secret, api_key) for secret in self.live)

    def derived(self, purpose: str) -> tuple[bytes, ...]:
        """Keys of 32 bytes for that purpose alone: of the secret, then of the one before."""
        return tuple(_keyed(secret, f"tallystick {purpose}".encode()) for secret in self.live)


class SecretMismatch(CannotStart):
    """The store was made with another secret."""


def key_hash(secret: str, api_key: str) -> bytes:
    """HMAC-SHA-256, 32 bytes: who reads the database can neither use nor make keys."""
    return _keyed(secret, api_key.encode())


def accept_secret(conn: Connection[Any], secrets: Secrets) -> None:
    """Checks the secret against the store's, which takes the first one it is given.

    At most two are live: the one in use and the one before. Raises SecretMismatch.
    """
    current, previous = secrets
    check, check_before = _check(current), None if previous is None else _check(previous)
    with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute("SELECT secret_checks FROM tally.ledger FOR UPDATE").fetchone()
        assert row is not None, "the store is migrated"
        live: list[bytes] = row[0]
        if check in live:
            return
        if live and check_before not in live:
            raise SecretMismatch(
                "TALLY_SECRET is not the secret of this store: give the one it was made with; "
                "to change it, give that one as TALLY_SECRET_PREVIOUS"
            )
        kept = [check] if check_before is None or not live else [check_before, check]
        cursor.execute("UPDATE tally.ledger SET secret_checks = %s", (kept,))


def _check(secret: str) -> bytes:
    return _keyed(secret, b"tallystick secret check")


def _keyed(secret: str, message: bytes) -> bytes:
    return hmac.digest(secret.encode(), message, "sha256")
