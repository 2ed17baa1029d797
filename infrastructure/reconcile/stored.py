"""The store's events one by one, those that can't be read too."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg import Connection

from domain.events import LedgerEvent
from infrastructure.mapper import EventMapper, UnknownEventType, UnreadablePayload

PAGE: Final = 5_000


class Stored(NamedTuple):
    position: int
    event: LedgerEvent | None
    """None where it can't be read."""
    stream: UUID
    version: int
    recorded_at: datetime
    reason: str


def stored_events(
    connection: Connection[Any],
    mapper: EventMapper,
    after: int,
    to: int,
    stream: UUID | None = None,
) -> Iterator[Stored]:
    """The store's events in (after, to], of one stream or all, page by page."""
    where = b" AND stream = %(stream)s" if stream else b""
    while after < to:
        upper = to if stream else min(after + PAGE, to)
        rows = connection.execute(
            b"SELECT position, stream, version, type, recorded_at, payload FROM tally.events"
            b" WHERE position > %(after)s AND position <= %(upper)s"
            + where
            + b" ORDER BY position",
            {"after": after, "upper": upper, "stream": stream},
            binary=True,
        )
        for position, of, version, topic, recorded_at, payload in rows:
            event, reason = None, ""
            try:
                event = mapper.decode(topic, payload, of, version, recorded_at)
            except (UnknownEventType, UnreadablePayload) as error:
                reason = str(error)
            yield Stored(position, event, of, version, recorded_at, reason)
        after = upper
