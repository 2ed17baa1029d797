"""The event history as auditors read it: straight from the store, each read one query."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from application.answers import LONGEST_COMMAND, Recorded, record_length
from domain.code_events import PayCodeIssued
from domain.events import PaymentDecided
from domain.payment import account_events
from infrastructure.mapper import EventMapper

TYPE_PAGE_POSITIONS = 10_000
"""How far one page looks for events of a type."""

_COLUMNS = "position, stream, version, type, recorded_at, payload"


class EventLog:
    """Reads over a pool of connections of the application's role."""

    def __init__(
        self, pool: AsyncConnectionPool[AsyncConnection[TupleRow]], mapper: EventMapper
    ) -> None:
        self._pool = pool
        self._mapper = mapper

    async def end(self) -> int:
        """The last position; 0 where the store is empty."""
        return int(await self._value("SELECT coalesce(max(position), 0) FROM tally.events"))

    async def position_at(self, at: datetime) -> int:
        """The last position recorded at or before that time; 0 where there is none."""
        return int(await self._value("SELECT coalesce(tally.position_at(%s), 0)", at))

    async def recorded_at(self, position: int) -> datetime | None:
        """The recorded time of a position; None beyond the end and for 0."""
        at = await self._value("SELECT recorded_at FROM tally.events WHERE position = %s", position)
        return at if isinstance(at, datetime) else None

    async def last_position_of_first(self, stream: UUID) -> int | None:
        """Where the command that began the stream ends; None where there is no such stream."""
        first = await self._select("stream = %s AND version = 1", stream)
        if not first:
            return None
        position, event = first[0]
        return position + record_length(event) - 1

    async def last_position_of(self, stream: UUID) -> int:
        """Where the last command ends that a stream has an event of; 0: there is no such stream."""
        last = await self._value(
            "SELECT position FROM tally.events WHERE stream = %s ORDER BY version DESC LIMIT 1",
            stream,
        )
        return await self.whole_from(int(last)) if last else 0

    async def pay_code(self, stream: UUID) -> PayCodeIssued:
        """How a pay code was issued, one that there is: what no read model knows of it."""
        issued = (await self._select("stream = %s AND version = 1", stream))[0].event
        assert isinstance(issued, PayCodeIssued)
        return issued

    async def pay_code_is_live(self, stream: UUID, now: datetime) -> bool:
        """Whether the pay code of that stream can still be used."""
        found = [each.event for each in await self._select("stream = %s", stream)]
        return len(found) == 1 and isinstance(found[0], PayCodeIssued) and found[0].expires_at > now

    async def whole_until(self, position: int) -> int:
        """The last position up to this one at which no payment is half made.

        Between a payment's debits and its credits the books do not balance, and need not.
        """
        if len(await self._of_one_command(position, position + 1)) < 2:
            return position
        return (await self._of_one_command(position, position - LONGEST_COMMAND))[0] - 1

    async def whole_from(self, position: int) -> int:
        """The first position from this one on at which no payment is half made."""
        found = await self._of_one_command(position, position + LONGEST_COMMAND)
        return found[-1] if found else position

    async def _of_one_command(self, position: int, to: int) -> list[int]:
        """Positions of the command whose event stands at the position, as far as the other one."""
        found = await self._select("position BETWEEN %s AND %s", *sorted((position, to)))
        commands = {each.position: each.event.command for each in found}
        return [each for each, command in commands.items() if command == commands.get(position)]

    async def mirrored(self) -> int | None:
        """The position up to which the events are in Kafka; None where no mirror ever ran."""
        position = await self._value("SELECT position FROM tally.mirror")
        return None if position is None else int(position)

    async def event(self, position: int) -> Recorded | None:
        found = await self._select("position = %s", position)
        return found[0] if found else None

    async def page(self, after: int, limit: int) -> Sequence[Recorded]:
        """Up to `limit` events after a position, without a gap."""
        return await self._select("position BETWEEN %s AND %s", after + 1, after + limit)

    async def page_of_type(self, topic: str, after: int, limit: int) -> tuple[list[Recorded], int]:
        """Events of a type among the next positions, and the position looked up to.

        A page may be short: it looks at TYPE_PAGE_POSITIONS positions at most.
        """
        end = min(after + TYPE_PAGE_POSITIONS, await self.end())
        found = await self._select(
            "position > %s AND position <= %s AND type = %s", after, end, topic, limit=limit
        )
        return found, found[-1].position if len(found) == limit else end

    async def page_of_stream(
        self, stream: UUID, after: int, after_version: int, limit: int
    ) -> Sequence[Recorded]:
        """Events of a stream, of which `after_version` is known to be at or before `after`."""
        return await self._select(
            "stream = %s AND version > %s AND position > %s",
            stream,
            after_version,
            after,
            order="version",
            limit=limit,
        )

    async def page_of_payment(self, payment: UUID, after: int, limit: int) -> Sequence[Recorded]:
        """A payment's own events, each with those of accounts that follow it, in order."""
        first = await self._select("stream = %s AND version = 1", payment)
        if not first or not isinstance(first[0].event, PaymentDecided):
            return []
        own = await self._select(
            "stream = %s AND position > %s",
            payment,
            after - LONGEST_COMMAND,  # the one that stands before may go on after it
            order="version",
            limit=limit + LONGEST_COMMAND,
        )
        places = [
            place
            for position, event in own
            for place in range(position, position + 1 + account_events(event))
            if place > after
        ]
        return await self._select("position = ANY(%s)", places[:limit])

    async def _select(
        self, where: str, *parameters: Any, order: str = "position", limit: int | None = None
    ) -> list[Recorded]:
        query = f"SELECT {_COLUMNS} FROM tally.events WHERE {where} ORDER BY {order} LIMIT %s"
        async with self._pool.connection() as conn, conn.cursor(binary=True) as cursor:
            await cursor.execute(query.encode(), (*parameters, limit))
            rows = await cursor.fetchall()
        return [
            Recorded(position, self._mapper.decode(topic, payload, stream, version, recorded_at))
            for position, stream, version, topic, recorded_at, payload in rows
        ]

    async def _value(self, query: str, *parameters: Any) -> Any:
        async with self._pool.connection() as conn:
            cursor = await conn.execute(query.encode(), parameters)
            row = await cursor.fetchone()
        return row[0] if row else None
