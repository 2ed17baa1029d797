"""Whose API key it is, asked of the store at each use; the API remembers it for a moment."""

from typing import NamedTuple

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from infrastructure.secret import KeyHashes


class KeyHolder(NamedTuple):
    caller: str
    role: str
    key_id: str


class KeyLookup:
    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[TupleRow]],
        hashes: KeyHashes,
    ) -> None:
        self._pool = pool
        self._hashes = hashes

    async def holder(self, key: str) -> KeyHolder | None:
        """None where the key is unknown or revoked.

        One that is found by the hash of the secret before is hashed anew.
        """
        current, *before = self._hashes(key)
        async with self._pool.connection() as conn:
            cursor = await conn.execute(
                b"SELECT caller, role, key_id, hash FROM tally.keys"
                b" WHERE hash = ANY(%s) AND revoked_at IS NULL",
                ([current, *before],),
                prepare=True,
            )
            row = await cursor.fetchone()
            if row is None:
                return None
            *holder, found = row
            if found != current:
                await conn.execute(
                    b"UPDATE tally.keys SET hash = %s WHERE hash = %s AND revoked_at IS NULL",
                    (current, found),
                )
        return KeyHolder(*holder)
