"""The event store as a feed of one partition; the next page is fetched while one is applied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import UnionType
from typing import Final, NamedTuple, get_args

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from application.answers import LONGEST_COMMAND
from domain.registry import EVENTS
from infrastructure.announced_end import CHANNEL
from infrastructure.connections import KEEPALIVES
from infrastructure.mapper import EventMapper, UnknownEventType, UnreadablePayload, command_of
from projections.feed import START, Mark, Progress, Record, UnreadableRecord

_READ: Final = b"""
SELECT position, stream, version, type, recorded_at, payload FROM tally.events
WHERE position > %s AND position <= %s ORDER BY position
"""

_MARK: Final = b"SELECT position, stream || ':' || version, recorded_at FROM tally.events"
_LAST: Final = b"""
SELECT position FROM tally.events
WHERE position > %s AND position <= %s AND type <> ALL(%s) ORDER BY position DESC LIMIT 1
"""


class _Page(NamedTuple):
    before: int
    """Position of the last record before it: between the two is nothing but what is left out."""
    after: int
    limit: int
    records: Sequence[Record]
    end: Mark
    """The last event looked at; `more` are beyond it."""
    more: bool

    @property
    def last(self) -> int:
        """Position of the last record up to its end."""
        return self.records[-1].position if self.records else self.before


class StoreFeed:
    """Reads `tally.events` by position ranges, and LISTENs on a connection of its own.

    Not to be shared between threads.
    """

    name = "store"
    partitions = 1
    progress: Progress | None = None
    paced = False

    def __init__(self, dsn: str, mapper: EventMapper, *, connect_timeout_s: int = 5) -> None:
        self._dsn = dsn
        self._mapper = mapper
        self._connect_timeout_s = connect_timeout_s
        self._left_out: frozenset[str] = frozenset()
        self._reading: Connection[TupleRow] | None = None
        self._listening: Connection[TupleRow] | None = None
        self._ahead: Future[_Page] | None = None
        self._fetcher = ThreadPoolExecutor(1, thread_name_prefix="store-feed")

    def leave_out(self, events: UnionType) -> None:
        """Their payloads are not looked at, which is most of what made three read models that
        catch up together take 32 µs an event, and not 50. A type that this version doesn't know
        is never left out."""
        self._left_out = frozenset(
            topic for topic, event in EVENTS.items() if issubclass(event, get_args(events))
        )

    def read(self, after: Mapping[int, Mark], limit: int) -> Sequence[Record]:
        """See EventFeed. Raises psycopg.OperationalError where the store can't be reached."""
        mark = after[0]
        page = self._take_ahead(mark.position, limit)
        if page is None:
            page = self._fetch(mark, mark.position, limit)
        if page.more:
            self._ahead = self._fetcher.submit(self._fetch, page.end, page.last, limit)
        self.progress = Progress(page.end, {0: page.last})
        return page.records

    def end(self) -> Progress:
        row = self._listen().execute(_MARK + b" ORDER BY position DESC LIMIT 1").fetchone()
        mark = Mark(*row) if row else START
        # Looked for beyond what has been read alone: of a large store all may be left out.
        seen = self.progress or Progress(START, {0: 0})
        between = (seen.mark.position, mark.position, list(self._left_out))
        last = self._listen().execute(_LAST, between).fetchone()
        return Progress(mark, {0: last[0] if last else seen.last[0]})

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
        fits = page.before <= position <= page.after and page.limit == limit
        return page if page.records and fits else None

    def _fetch(self, after: Mark, before: int, limit: int) -> _Page:
        """Looks at as many events as it takes to find about `limit` records."""
        records: list[Record] = []
        end, wanted = after, limit
        while True:
            rows = self._rows(end.position, wanted)
            more = len(rows) == wanted
            if more and not (rows := _whole_commands(rows)):
                wanted += LONGEST_COMMAND  # more than the one that they are all of
                continue
            last = records[-1].position if records else before
            found, bad = self._decode(rows, end.position, last)
            if bad is not None:
                # What is before it, but for the command that it may belong to.
                rows = _whole_commands([row for row in rows if row[0] < bad.position])
                if not rows and not records:
                    raise bad
                found = [record for record in found if rows and record.position <= rows[-1][0]]
            records += found
            if rows:
                position, stream, version, _, recorded_at, _ = rows[-1]
                end = Mark(position, f"{stream}:{version}", recorded_at)
            wanted = limit - len(records)
            if bad is not None or not more or wanted <= limit // 2:
                return _Page(before, after.position, limit, records, end, more)

    def _rows(self, after: int, limit: int) -> Sequence[TupleRow]:
        if self._reading is None:
            self._reading = self._connect()
        with self._reading.cursor(binary=True) as cursor:
            return cursor.execute(_READ, (after, after + limit), prepare=True).fetchall()

    def _decode(
        self, rows: Sequence[TupleRow], after: int, last: int
    ) -> tuple[list[Record], UnreadableRecord | None]:
        """The records up to the first event that is missing or can't be decoded, and that one.

        What is left out is looked for all the same: who goes past it goes past a gap before it.
        """
        records: list[Record] = []
        decode, left_out = self._mapper.decode, self._left_out
        for position, stream, version, topic, recorded_at, payload in rows:
            if position != after + 1:
                return records, UnreadableRecord(after + 1, f"gap: {position} follows {after}")
            after = position
            if topic in left_out:
                continue
            try:
                event = decode(topic, payload, stream, version, recorded_at)
            except (UnknownEventType, UnreadablePayload) as error:
                return records, UnreadableRecord(position, str(error))
            records.append(Record(position, last, 0, event))
            last = position
        return records, None

    def _connect(self) -> Connection[TupleRow]:
        return psycopg.connect(
            self._dsn,
            autocommit=True,
            application_name="tally feed",
            connect_timeout=self._connect_timeout_s,
            **KEEPALIVES,
            options="-c TimeZone=UTC -c enable_seqscan=off",
        )


def _whole_commands(rows: Sequence[TupleRow]) -> Sequence[TupleRow]:
    """The rows up to where the last but one command ends: the last may go on after them."""
    end = len(rows)
    last = command_of(rows[-1][5]) if rows else b""
    while end and command_of(rows[end - 1][5]) == last:
        end -= 1
    return rows[:end]
