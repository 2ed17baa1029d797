"""Which partitions of a projection a worker has: spread over all that live, by advisory locks.

For liveness alone: what makes each event have its effect once is the checkpoint's
compare-and-set. A session that ends, however it does, gives its locks back.
"""

from __future__ import annotations

from typing import Any, Final

from psycopg import Connection

from projections.checkpoints import ADVISORY_CLASS

_HOLDERS: Final = """
SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database
WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.objsubid = 2
  AND l.classid = %s AND l.objid = (hashtext(%s)::bigint & 4294967295)::oid AND l.granted
ORDER BY l.pid
"""


def workers_of(connection: Connection[Any], projection: str, feed: str) -> list[int]:
    """The backends of the workers that live and read that feed, in an order that all agree on."""
    rows = connection.execute(_HOLDERS, (ADVISORY_CLASS, _workers(projection, feed))).fetchall()
    return [pid for (pid,) in rows]


class Ownership:
    """One worker's share; held by its connection, which is in autocommit mode."""

    def __init__(
        self, connection: Connection[Any], projection: str, *, feed: str, partitions: int
    ) -> None:
        self._connection = connection
        self._projection = projection
        self._feed = feed
        self._partitions = partitions
        self._owned: set[int] = set()
        connection.execute(
            "SELECT pg_advisory_lock_shared(%s, hashtext(%s))",
            (ADVISORY_CLASS, _workers(projection, feed)),
        )

    def refresh(self) -> frozenset[int]:
        """Gives back what is another's by now, takes what is ours and free; gives what we have."""
        workers = workers_of(self._connection, self._projection, self._feed)
        rank = workers.index(self._connection.info.backend_pid)
        share = {each for each in range(self._partitions) if each % len(workers) == rank}
        for partition in self._owned - share:
            self._lock("pg_advisory_unlock", partition)
        self._owned &= share
        for partition in share - self._owned:
            if self._lock("pg_try_advisory_lock", partition):
                self._owned.add(partition)
        return frozenset(self._owned)

    def _lock(self, function: str, partition: int) -> bool:
        row = self._connection.execute(
            f"SELECT {function}(%s, hashtext(%s))".encode(),
            (ADVISORY_CLASS, f"{self._projection} {self._feed} {partition}"),
        ).fetchone()
        return bool(row and row[0])


def _workers(projection: str, feed: str) -> str:
    return f"{projection} workers of {feed}"
