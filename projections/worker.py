"""The loop that keeps a read model up to date: read, fold, write with the checkpoint, commit.

The partitions of a projection are spread over its workers by advisory locks (ownership.py); one
that has none waits as a standby. Locks are for liveness: what makes each event have its effect
once is the checkpoint's compare-and-set, in the transaction that writes the read model.
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

from projections.checkpoints import LostCheckpoint, halt_checkpoint, pointer
from projections.feed import EventFeed, FeedAway, UnreadableRecord
from projections.generation import Generation, Halted, OtherFeed, connect, live_generation
from projections.ownership import Ownership
from projections.tables import Projection

log = logging.getLogger("tally.projections")

BATCH: Final = 2_000
CATCH_UP_BATCH: Final = 10_000
"""Records a transaction while far behind: four workers at it hold some 150 MB together. With half
of it PostgreSQL has a quarter more to do: an account's row is written once a transaction."""
WAIT_S: Final = 0.5
"""Longest wait for news: how long a stop takes, and a pointer moved by a rebuild goes unseen.

Also how often a worker looks who else lives, and takes or gives back partitions."""
PACE_S: Final = (0.005, 0.05)
"""Pause after a small batch, at least and at most: it bounds the transactions a second, and is what
a read may lag."""
PACE_RECORDS: Final = 6_000
"""A batch of many pauses for as long as so many a second take. One transaction then does what two
or three did, and a full machine takes a fifth more payments (medians of five runs by turns: 2,474/s
instead of 2,047); at 1,000 payments/s the lag is the same."""
BACK_OFF_S: Final = (0.1, 5.0)

_AWAY: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    # Somebody drops tables under our hands.
    psycopg.errors.UndefinedTable,
    psycopg.InternalError,
    FeedAway,
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
        name = self._projection.name
        pause_s = BACK_OFF_S[0]
        while not self._stop.is_set():
            started = time.monotonic()
            try:
                with (
                    closing(connect(self._dsn, f"tally {name}")) as connection,
                    closing(self._open_feed()) as feed,
                ):
                    feed.leave_out(self._projection.leaves_out)
                    self._work(connection, feed)
            except _AWAY as error:
                log.warning("%s: PostgreSQL, its tables or the feed are away: %s", name, error)
                if time.monotonic() - started > BACK_OFF_S[1]:
                    pause_s = BACK_OFF_S[0]
                self._stop.wait(pause_s)
                pause_s = min(pause_s * 2, BACK_OFF_S[1])

    def _work(self, connection: Connection[Any], feed: EventFeed) -> None:
        """Follows the live generation, and the next one after a rebuild has swapped."""
        name = self._projection.name
        ownership = Ownership(connection, name, feed=feed.name, partitions=feed.partitions)
        told = ""
        while not self._stop.is_set():
            owned = ownership.refresh()
            if not owned:
                self._stop.wait(WAIT_S)
                continue
            try:
                generation = live_generation(connection, self._projection, feed).of(owned)
            except OtherFeed as other:
                if str(other) != told:
                    told = str(other)
                    log.error("%s: %s", name, told)
                self._stop.wait(WAIT_S)
                continue
            try:
                generation.check_history(feed)
                self._follow(generation, feed, ownership, owned)
            except LostCheckpoint as lost:
                log.info("%s: %s; reading the pointer again", name, lost)
            except Halted as halted:
                self._halt(generation, halted)
            except UnreadableRecord as bad:
                self._halt(generation, Halted(bad.position, bad.reason, bad.partition))

    def _follow(
        self,
        generation: Generation,
        feed: EventFeed,
        ownership: Ownership,
        owned: frozenset[int],
    ) -> None:
        """Until the partitions owned are others, or the generation is not live any more."""
        limit = BATCH
        looked_at = time.monotonic()
        while not self._stop.is_set():
            started = time.monotonic()
            if started - looked_at > WAIT_S:
                looked_at = started
                if ownership.refresh() != owned or not self._is_live(generation):
                    return
            records = feed.read(generation.marks, limit)
            new = generation.apply(records, feed.progress)
            if new:
                took_s = time.monotonic() - started
                self._observe(Applied(self._projection.name, new, generation.watermark, took_s))
            if len(records) > limit // 2:
                limit = CATCH_UP_BATCH
                continue
            limit = BATCH
            if new and not feed.paced:
                # Under load this makes one transaction of what would be several small ones.
                self._stop.wait(min(max(PACE_S[0], new / PACE_RECORDS), PACE_S[1]))
            feed.wait(WAIT_S)

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
