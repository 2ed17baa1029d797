"""Reads at the watermark: pointer, checkpoints and rows come from one snapshot.

The watermark of a projection is the lowest checkpoint among the partitions of its live
generation: the position that a read is true at.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from psycopg import AsyncConnection
from psycopg.errors import UndefinedColumn, UndefinedTable
from psycopg.rows import DictRow, TupleRow, dict_row
from psycopg_pool import AsyncConnectionPool

from projections.arrays import texts
from projections.tables import sql

POLL_S: Final = 0.004
"""How often the watermarks are looked at while somebody waits for them."""

NEWEST: Final = 2**63 - 1
"""Beyond every position: where a list that goes from new to old begins."""

Pool = AsyncConnectionPool[AsyncConnection[TupleRow]]

_BEGIN: Final = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

_WATERMARKS: Final = b"""
SELECT p.projection, p.generation, min(c.position) AS position, min(c.recorded_at) AS recorded_at,
    min(c.halted_position) AS halted_position, min(c.halted_reason) AS halted_reason
FROM tally_read.pointers p
JOIN tally_read.checkpoints c USING (projection, generation)
WHERE p.projection = ANY(%s::text[])
GROUP BY p.projection, p.generation, p.partitions
HAVING count(*) = p.partitions
"""


class ReadModelMissing(Exception):
    """No worker has made this read model yet, or somebody dropped it: it stands at 0."""

    def __init__(self, projection: str) -> None:
        super().__init__(f"the read model {projection} is not there yet")
        self.projection = projection


class Standing(NamedTuple):
    """How far a projection is, and what stopped it if something did."""

    generation: int
    position: int
    recorded_at: datetime | None
    """Recorded time of the event at the position; None at 0."""
    halted_position: int | None
    halted_reason: str | None


class Page(NamedTuple):
    """Items of a list and the keys after which the next page begins; None at the end."""

    items: list[dict[str, Any]]
    next: tuple[Any, ...] | None


@dataclass(frozen=True, slots=True)
class View:
    """A read model as it is at one position; every query of a view sees the same snapshot."""

    connection: AsyncConnection[TupleRow]
    generation: int
    position: int
    recorded_at: datetime | None

    async def rows(self, template: str, parameters: Mapping[str, Any]) -> list[DictRow]:
        """Rows of a query whose tables are named with `{g}`."""
        async with self.connection.cursor(row_factory=dict_row, binary=True) as cursor:
            await cursor.execute(sql(template, self.generation), parameters)
            return await cursor.fetchall()


class Reader:
    """Opens views, and waits for watermarks with one query however many wait.

    The pool's connections are as infrastructure.connections.ReadPool makes them.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: dict[str, list[tuple[int, asyncio.Future[int]]]] = {}
        self._poller: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def at(self, projection: str) -> AsyncIterator[View]:
        """A view at the watermark. Raises ReadModelMissing."""
        try:
            async with self._pool.connection() as connection:
                await connection.execute(_BEGIN)
                standing = (await _standings(connection, [projection])).get(projection)
                if standing is None:
                    raise ReadModelMissing(projection)
                yield View(connection, standing.generation, standing.position, standing.recorded_at)
        except (UndefinedTable, UndefinedColumn) as error:  # gone, or an older version's
            raise ReadModelMissing(projection) from error

    async def standings(self, projections: list[str]) -> dict[str, Standing]:
        """How far each projection is; one that has no read model is left out."""
        async with self._pool.connection() as connection:
            try:
                return await _standings(connection, projections)
            except UndefinedTable:
                return {}

    async def wait_for(self, projection: str, position: int, timeout_s: float) -> int:
        """The projection's watermark, once it is at or past the position, or the time is over."""
        standings = await self.standings([projection])
        reached = standings[projection].position if projection in standings else 0
        if reached >= position or timeout_s <= 0:
            return reached
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(projection, []).append((position, future))
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll(), name="watermarks")
        with suppress(TimeoutError):
            return await asyncio.wait_for(future, timeout_s)
        standings = await self.standings([projection])
        return standings[projection].position if projection in standings else 0

    async def _poll(self) -> None:
        """Looks at the watermarks until nobody waits any more."""
        try:
            while self._still_waiting():
                await asyncio.sleep(POLL_S)
                standings = await self.standings(list(self._waiting))
                for projection, standing in standings.items():
                    for position, future in self._waiting.get(projection, ()):
                        if standing.position >= position and not future.done():
                            future.set_result(standing.position)
        except Exception as error:  # noqa: BLE001 (told to everybody who waits)
            for waiters in self._waiting.values():
                for _, future in waiters:
                    if not future.done():
                        future.set_exception(error)

    def _still_waiting(self) -> bool:
        for projection, waiters in list(self._waiting.items()):
            waiters[:] = [waiter for waiter in waiters if not waiter[1].done()]
            if not waiters:
                del self._waiting[projection]
        return bool(self._waiting)


async def _standings(
    connection: AsyncConnection[TupleRow], projections: list[str]
) -> dict[str, Standing]:
    cursor = await connection.execute(_WATERMARKS, (texts(projections),), prepare=True)
    return {row[0]: Standing(*row[1:]) for row in await cursor.fetchall()}
