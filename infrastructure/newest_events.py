"""The newest events of the store, read once and decoded once for all read models of a process.

Each of them would fetch and decode the same rows: with four, that was a third of what a payment
cost the workers. Who is behind what is kept here reads by itself (store_feed.py).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from datetime import datetime
from threading import Lock
from typing import Final, NamedTuple
from uuid import UUID

import psycopg

from domain.events import LedgerEvent
from infrastructure.mapper import EventMapper, UnknownEventType, UnreadablePayload
from infrastructure.store_rows import StoreRows

KEPT: Final = 4_000
"""Events: what two seconds bring where payments come by the thousand, in some 6 MB."""


class Newest(NamedTuple):
    position: int
    stream: UUID
    version: int
    topic: str
    recorded_at: datetime
    event: LedgerEvent | None
    """None where nobody here has any use for it."""


class NewestEvents:
    """Threads share it; each of its readers joins before it reads, and leaves."""

    def __init__(self, rows: StoreRows, mapper: EventMapper) -> None:
        self._rows = rows
        self._mapper = mapper
        self._lock = Lock()
        self._readers: dict[Hashable, frozenset[str]] = {}
        """What each leaves out."""
        self._kept: list[Newest] = []
        self._end = 0
        """Position of the last one kept; without any, of the one before those to come."""

    def join(self, reader: Hashable, left_out: frozenset[str]) -> None:
        with self._lock:
            self._readers[reader] = left_out
            self._begin(0)  # what is kept may lack what this one needs

    def leave(self, reader: Hashable) -> None:
        """The last one closes the connection."""
        with self._lock:
            if self._readers.pop(reader, None) is not None and not self._readers:
                self._begin(0)
                self._rows.close()

    def after(self, position: int) -> Sequence[Newest] | None:
        """All that there are after the position, to the end of the store; None to a reader that has
        to see for itself. Raises psycopg.OperationalError where the store can't be reached."""
        with self._lock:
            if position > self._end:
                self._begin(position)
            if position < self._before or not self._read_on():
                return None
            if position < self._before:
                return None  # what came took the place of what this reader still needs
            return self._kept[position - self._before :]

    @property
    def _before(self) -> int:
        """Position of the event before the first one kept."""
        return self._end - len(self._kept)

    def _read_on(self) -> bool:
        """Whether all that is new could be kept."""
        try:
            rows = self._rows.after(self._end, KEPT)
        except psycopg.Error:
            self._begin(0)
            self._rows.close()
            raise
        if not rows:
            return True
        if len(rows) == KEPT or rows[-1][0] != self._end + len(rows):
            self._begin(self._end)  # much to catch up with, or a gap
            return False
        left_out = frozenset.intersection(*self._readers.values())
        try:
            self._kept += [
                Newest(
                    position,
                    stream,
                    version,
                    topic,
                    recorded_at,
                    None
                    if topic in left_out
                    else self._mapper.decode(topic, payload, stream, version, recorded_at),
                )
                for position, stream, version, topic, recorded_at, payload in rows
            ]
        except (UnknownEventType, UnreadablePayload):
            self._begin(self._end)
            return False
        self._end += len(rows)
        del self._kept[:-KEPT]
        return True

    def _begin(self, position: int) -> None:
        """Anew, after the position."""
        self._kept = []
        self._end = position
