"""API keys: `tk_…` tokens of named callers, of which the store has keyed hashes alone."""

import re
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, get_args

from psycopg import Connection
from psycopg.rows import class_row

from domain.ids import LEDGER_ITSELF
from infrastructure.secret import key_hash

Role = Literal["client", "auditor", "reporter", "admin"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)

_CALLER: Final = re.compile(r"[!-~]{1,64}")


class KeyRefused(ValueError):
    """No such key can be made; the message says why."""


class Key(NamedTuple):
    """A key as the store knows it; times are aware."""

    key_id: str
    caller: str
    role: Role
    created_at: datetime
    revoked_at: datetime | None


def create_key(
    conn: Connection[Any],
    secret: str,
    *,
    caller: str,
    role: str,
    clock: Callable[[], datetime],
) -> tuple[str, str]:
    """Gives the id of a new key and the key itself, which is shown this once.

    A new key of a caller's name is the same caller. Raises KeyRefused.
    """
    if not _CALLER.fullmatch(caller) or caller == LEDGER_ITSELF:
        raise KeyRefused(
            f"a caller's name is 1 to 64 visible ASCII characters, not {LEDGER_ITSELF!r}"
        )
    if role not in ROLES:
        raise KeyRefused(f"a role is one of {', '.join(ROLES)}")
    key_id, key = f"key_{secrets.token_hex(8)}", f"tk_{secrets.token_urlsafe(32)}"
    with conn.transaction():
        conn.execute(
            "INSERT INTO tally.keys (key_id, caller, role, hash, created_at) "
            "VALUES (%s, %s, %s, %s, %s)",
            (key_id, caller, role, key_hash(secret, key), clock()),
        )
    return key_id, key


def list_keys(conn: Connection[Any]) -> list[Key]:
    """All keys, revoked ones too, in the order of their making."""
    with conn.transaction(), conn.cursor(row_factory=class_row(Key)) as cursor:
        cursor.execute(
            "SELECT key_id, caller, role, created_at, revoked_at FROM tally.keys "
            "ORDER BY created_at, key_id"
        )
        return cursor.fetchall()


def revoke_key(conn: Connection[Any], key_id: str, *, clock: Callable[[], datetime]) -> bool:
    """Ends a key, at once and for ever; a second time changes nothing. False: no such key."""
    with conn.transaction():
        done = conn.execute(
            "UPDATE tally.keys SET revoked_at = coalesce(revoked_at, %s) WHERE key_id = %s",
            (clock(), key_id),
        )
    return done.rowcount == 1
