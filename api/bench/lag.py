"""How long an event takes from when it can be seen in the store until a read model has it."""

from __future__ import annotations

import statistics
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final, NamedTuple

import psycopg

SAMPLE_S: Final = 0.005
"""With less, looking takes a good part of a small machine."""
_CATCHES_UP_WITHIN_S: Final = 60.0
_LOOK: Final = b"""
SELECT coalesce((SELECT position FROM tally.events ORDER BY position DESC LIMIT 1), 0),
    coalesce((SELECT min(position) FROM tally_read.checkpoints
        JOIN tally_read.pointers USING (projection, generation) WHERE projection = 'balances'), 0),
    coalesce((SELECT min(position) FROM tally_read.checkpoints
        JOIN tally_read.pointers USING (projection, generation)), 0),
    coalesce((SELECT position FROM tally.mirror), 0)
"""


class Seen(NamedTuple):
    """Samples of how far something was, in order."""

    position: list[int]
    at: list[float]

    def since(self, wanted: int) -> float:
        """When it was first seen at that position or past it."""
        return self.at[bisect_left(self.position, wanted)]

    def after_ms(self, first: Seen) -> list[float]:
        """How much later than `first` it had each event that came meanwhile, as far as it has
        them."""
        last = min(self.position[-1], first.position[-1])
        return [
            (self.since(number) - first.since(number)) * 1000
            for number in range(first.position[0] + 1, last + 1)
        ]


class Watched(NamedTuple):
    stored: Seen
    balances: Seen
    read_models: Seen
    """All of them: the one that is furthest behind."""
    mirror: Seen


@contextmanager
def watching(dsn: str) -> Iterator[Watched]:
    """Looks as long as the block runs, and then until all read models have what the store has."""
    watched = Watched(*(Seen([], []) for _ in Watched._fields))
    over = Event()

    def look() -> None:
        give_up = float("inf")
        with psycopg.connect(dsn, autocommit=True) as connection:
            while time.monotonic() < give_up:
                row = connection.execute(_LOOK, prepare=True).fetchone()
                assert row is not None
                now = time.monotonic()
                for seen, position in zip(watched, row, strict=True):
                    seen.position.append(position)
                    seen.at.append(now)
                if over.is_set():
                    if row[0] == row[2]:
                        return
                    give_up = min(give_up, now + _CATCHES_UP_WITHIN_S)
                time.sleep(SAMPLE_S)

    looking = Thread(target=look, name="lag", daemon=True)
    looking.start()
    try:
        yield watched
    finally:
        over.set()
        looking.join()


def percentiles_ms(lags_ms: list[float]) -> tuple[float, float]:
    """The median and the 99th."""
    found = statistics.quantiles(lags_ms, n=100)
    return found[49], found[98]
