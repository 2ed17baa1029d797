"""The loop that keeps a read model up to date: read, fold, write with the checkpoint, commit.

Each projection has one worker at a time, by a session advisory lock; another one waits as a
standby. The lock is for liveness: what makes each event have its effect once is the checkpoint's
compare-and-set, in the transaction that writes the read model.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from threading import Event, Thread
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import Connection

from projections.checkpoints import ADVISORY_CLASS, LostCheckpoint, halt_checkpoint, pointer
from projections.feed import EventFeed, UnreadableRecord
from projections.generation import Generation, Halted, connect, live_generation
from projections.tables import Projection

log = logging.getLogger("tally.projections")

BATCH: Final = 2_000
CATCH_UP_BATCH: Final = 5_000
"""Records a transaction while far behind: four workers at it hold some 150 MB together."""
WAIT_S: Final = 0.5
"""Longest wait for news: how long a stop takes, and a pointer moved by a rebuild goes unseen."""
PACE_S: Final = 0.005
"""Pause after a small batch: it bounds the transactions a second, and is what a read may lag."""
STANDBY_S: Final = 0.5
BACK_OFF_S: Final = (0.1, 5.0)

_AWAY: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    # Somebody drops tables under our hands.
    psycopg.errors.UndefinedTable,
    psycopg.InternalError,
)


class Applied(NamedTuple):
    """What one transaction applied, for metrics."""

    projection: str
    records: int
    position: int
    seconds: float


class Halt(NamedTuple):
    projection: str
    position: int
    reason: str


Observe = Callable[[Applied | Halt], None]
OpenFeed = Callable[[], EventFeed]


class Worker:
    """Keeps one projection up to date until it is told to stop."""

    def __init__(
        self,
        projection: Projection,
        *,
        dsn: str,
        open_feed: OpenFeed,
        stop: Event,
        observe: Observe = lambda _: None,
    ) -> None:
        self._projection = projection
        self._dsn = dsn
        self._open_feed = open_feed
        self._stop = stop
        self._observe = observe

    def run(self) -> None:
        """Returns when `stop` is set; lost connections are made anew, with growing pauses."""
        pause_s = BACK_OFF_S[0]
        while not self._stop.is_set():
            try:
                with closing(connect(self._dsn, f"tally {self._projection.name}")) as connection:
                    if self._own(connection):
                        pause_s = BACK_OFF_S[0]
                        self._work(connection)
            except _AWAY as error:
                log.warning(
                    "%s: PostgreSQL or its tables are away: %s", self._projection.name, error
                )
                self._stop.wait(pause_s)
                pause_s = min(pause_s * 2, BACK_OFF_S[1])

    def _own(self, connection: Connection[Any]) -> bool:
        """Waits for the projection's lock, which this connection then holds for its life."""
        while not self._stop.is_set():
            row = connection.execute(
                "SELECT pg_try_advisory_lock(%s, hashtext(%s))",
                (ADVISORY_CLASS, self._projection.name),
            ).fetchone()
            if row and row[0]:
                return True
            self._stop.wait(STANDBY_S)
        return False

    def _work(self, connection: Connection[Any]) -> None:
        """Follows the live generation, and the next one after a rebuild has swapped."""
        while not self._stop.is_set():
            with closing(self._open_feed()) as feed:
                generation = live_generation(connection, self._projection, feed)
                try:
                    generation.check_history(feed)
                    self._follow(generation, feed)
                except LostCheckpoint as lost:
                    log.info("%s: %s; reading the pointer again", self._projection.name, lost)
                except Halted as halted:
                    self._halt(generation, halted)
                except UnreadableRecord as unreadable:
                    self._halt(generation, Halted(unreadable.position, unreadable.reason))

    def _follow(self, generation: Generation, feed: EventFeed) -> None:
        limit = BATCH
        while not self._stop.is_set():
            started = time.monotonic()
            records = feed.read(generation.positions, limit)
            new = generation.apply(records)
            if new:
                took_s = time.monotonic() - started
                self._observe(Applied(self._projection.name, new, generation.watermark, took_s))
            if len(records) > limit // 2:
                limit = CATCH_UP_BATCH
                continue
            limit = BATCH
            if new:
                # Under load this makes one transaction of what would be several small ones.
                self._stop.wait(PACE_S)
            feed.wait(WAIT_S)
            if not new and not self._is_live(generation):
                raise LostCheckpoint(f"generation {generation.number} is not live any more")

    def _halt(self, generation: Generation, halted: Halted) -> None:
        """Says where and why, and stands still until a restart or a rebuild; others go on."""
        name = self._projection.name
        log.error("%s is halted at position %s: %s", name, halted.position, halted.reason)
        self._observe(Halt(name, halted.position, halted.reason))
        halt_checkpoint(
            generation.connection,
            name,
            generation.number,
            halted.partition,
            position=halted.position,
            reason=halted.reason,
        )
        while not self._stop.wait(WAIT_S) and self._is_live(generation):
            pass

    def _is_live(self, generation: Generation) -> bool:
        with suppress(psycopg.errors.UndefinedTable):
            live = pointer(generation.connection, self._projection.name)
            return live is not None and live.generation == generation.number
        return False


def collect_rarely() -> None:
    """Events in flight hold no cycles: looking for some took four fifths of a worker's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def run_projections(
    projections: Sequence[Projection],
    *,
    dsn: str,
    open_feed: OpenFeed,
    stop: Event,
    observe: Observe = lambda _: None,
) -> None:
    """Runs a worker for each projection, a thread each, until `stop` is set.

    An exception that no worker expects sets `stop` for all and is raised here: a bug ends the
    process, whose supervisor starts it afresh.
    """
    collect_rarely()
    failures: list[Exception] = []

    def run(worker: Worker) -> None:
        try:
            worker.run()
        except Exception as error:  # noqa: BLE001 (raised below, once all have ended)
            failures.append(error)
            stop.set()

    threads = [
        Thread(
            target=run,
            args=(Worker(projection, dsn=dsn, open_feed=open_feed, stop=stop, observe=observe),),
            name=f"projection-{projection.name}",
        )
        for projection in projections
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
