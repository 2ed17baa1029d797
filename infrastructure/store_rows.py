"""Rows of the event store, by position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

_READ: Final = b"""
SELECT position, stream, version, type, recorded_at, payload FROM tally.events
WHERE position > %s AND position <= %s ORDER BY position
"""


class StoreRows:
    """Over a connection of its own, made when it is needed. For one thread at a time."""

    def __init__(self, dsn: str, *, connect_timeout_s: int) -> None:
        self._dsn = dsn
        self._connect_timeout_s = connect_timeout_s
        self._connection: Connection[TupleRow] | None = None

    def after(self, position: int, limit: int) -> Sequence[TupleRow]:
        """Those that follow, at most so many: position, stream, version, type, recorded time and
        payload. Raises psycopg.OperationalError where the store can't be reached."""
        if self._connection is None:
            self._connection = connected(self._dsn, self._connect_timeout_s)
        with self._connection.cursor(binary=True) as cursor:
            return cursor.execute(_READ, (position, position + limit), prepare=True).fetchall()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


def connected(dsn: str, connect_timeout_s: int) -> Connection[TupleRow]:
    """A connection that reads the store's events."""
    return psycopg.connect(
        dsn,
        autocommit=True,
        application_name="tally feed",
        connect_timeout=connect_timeout_s,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        options="-c TimeZone=UTC -c enable_seqscan=off",
    )
