"""The event store as a feed of one partition; the next page is fetched while one is applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from infrastructure.mapper import EventMapper, UnknownEventType, UnreadablePayload
from projections.feed import START, Mark, Progress, Record, UnreadableRecord, whole_commands

CHANNEL: Final = "tally_events"

_READ: Final = b"""
SELECT position, stream, version, type, recorded_at, payload FROM tally.events
WHERE position > %s AND position <= %s ORDER BY position
"""

_MARK: Final = b"SELECT position, stream || ':' || version, recorded_at FROM tally.events"

_LONGEST_COMMAND: Final = 1024
"""More events than any one command has: looked at together where the limit is below it."""


class _Page(NamedTuple):
    after: int
    limit: int
    records: Sequence[Record]
    more: bool


class StoreFeed:
    """Reads `tally.events` by position ranges, and LISTENs on a connection of its own.

    Not to be shared between threads.
    """

    name = "store"
    partitions = 1
    progress: Progress | None = None

    def __init__(self, dsn: str, mapper: EventMapper, *, connect_timeout_s: int = 5) -> None:
        self._dsn = dsn
        self._mapper = mapper
        self._connect_timeout_s = connect_timeout_s
        self._reading: Connection[TupleRow] | None = None
        self._listening: Connection[TupleRow] | None = None
        self._ahead: Future[_Page] | None = None
        self._fetcher = ThreadPoolExecutor(1, thread_name_prefix="store-feed")

    def read(self, after: Mapping[int, Mark], limit: int) -> Sequence[Record]:
        """See EventFeed. Raises psycopg.OperationalError where the store can't be reached."""
        position = after[0].position
        page = self._take_ahead(position, limit)
        if page is None:
            page = self._fetcher.submit(self._fetch, position, limit).result()
        if page.more:
            self._ahead = self._fetcher.submit(self._fetch, page.records[-1].position, limit)
        return page.records

    def end(self) -> Progress:
        row = self._listen().execute(_MARK + b" ORDER BY position DESC LIMIT 1").fetchone()
        mark = Mark(*row) if row else START
        return Progress(mark, {0: mark.position})

    def find(self, mark: Mark) -> Mark | None:
        row = self._listen().execute(_MARK + b" WHERE position = %s", (mark.position,)).fetchone()
        return Mark(*row) if row else None

    def wait(self, timeout_s: float) -> None:
        if self._listening is None:
            self._listen()
            return  # what was appended before LISTEN was active sends no notification any more
        for _ in self._listening.notifies(timeout=timeout_s, stop_after=1):
            pass

    def close(self) -> None:
        self._fetcher.shutdown(wait=True, cancel_futures=True)
        for connection in (self._reading, self._listening):
            if connection is not None:
                connection.close()
        self._reading = self._listening = None

    def _listen(self) -> Connection[TupleRow]:
        if self._listening is None:
            self._listening = self._connect()
            self._listening.execute(f"LISTEN {CHANNEL}".encode())
        return self._listening

    def _take_ahead(self, position: int, limit: int) -> _Page | None:
        ahead, self._ahead = self._ahead, None
        if ahead is None:
            return None
        page = ahead.result()
        # An empty page fetched ahead is out of date by now.
        return page if page.records and (page.after, page.limit) == (position, limit) else None

    def _fetch(self, after: int, limit: int) -> _Page:
        if self._reading is None:
            self._reading = self._connect()
        with self._reading.cursor(binary=True) as cursor:
            wanted = limit
            while True:
                cursor.execute(_READ, (after, after + wanted), prepare=True)
                rows = cursor.fetchall()
                records, unreadable = self._decode(rows)
                more = len(rows) == wanted
                whole = whole_commands(records) if records and (more or unreadable) else records
                if whole or not more or unreadable or wanted >= limit + _LONGEST_COMMAND:
                    break
                wanted += _LONGEST_COMMAND
        if unreadable and not whole:
            raise unreadable
        return _Page(after, limit, whole, more)

    def _decode(self, rows: Sequence[TupleRow]) -> tuple[list[Record], UnreadableRecord | None]:
        """The records up to the first that can't be decoded, and that one."""
        records: list[Record] = []
        decode = self._mapper.decode
        for position, stream, version, topic, recorded_at, payload in rows:
            try:
                event = decode(topic, payload, stream, version, recorded_at)
            except (UnknownEventType, UnreadablePayload) as error:
                return records, UnreadableRecord(position, str(error))
            records.append(Record(position, position - 1, 0, event))
        return records, None

    def _connect(self) -> Connection[TupleRow]:
        return psycopg.connect(
            self._dsn,
            autocommit=True,
            application_name="tally feed",
            connect_timeout=self._connect_timeout_s,
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            options="-c TimeZone=UTC -c enable_seqscan=off",
        )
