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

from projections.checkpoints import (
    ADVISORY_CLASS,
    Checkpoint,
    LostCheckpoint,
    Pointer,
    delete_checkpoints,
    ensure_bookkeeping,
    halt_checkpoint,
    load_checkpoints,
    move_checkpoints,
    pointer,
    set_pointer,
    start_checkpoints,
)
from projections.feed import EventFeed, Record, UnreadableRecord
from projections.tables import (
    Projection,
    create_indexes,
    create_tables,
    drop_tables,
    tables_exist,
)

log = logging.getLogger("tally.projections")

BATCH: Final = 2_000
CATCH_UP_BATCH: Final = 10_000
WAIT_S: Final = 0.5
"""Longest wait for news: how long a stop takes, and a pointer moved by a rebuild goes unseen."""
STANDBY_S: Final = 0.5
BACK_OFF_S: Final = (0.1, 5.0)

_SETTINGS: Final = " ".join(
    (
        "-c TimeZone=UTC",
        # A read model is disposable and its checkpoint is in the same transaction: after a crash
        # of the server both are a moment older, together.
        "-c synchronous_commit=off",
        "-c idle_in_transaction_session_timeout=60s",
    )
)


class Halted(Exception):
    """A projection can't go on: a gap, an event that can't be applied, or another history."""

    def __init__(self, position: int, reason: str, partition: int = 0) -> None:
        super().__init__(reason)
        self.position = position
        self.reason = reason
        self.partition = partition


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


def connect(dsn: str, name: str) -> Connection[Any]:
    """A connection that writes read models, in autocommit mode."""
    return psycopg.connect(
        dsn,
        autocommit=True,
        application_name=name,
        connect_timeout=5,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        options=_SETTINGS,
    )


class Generation:
    """One generation of a read model on its way along the feed."""

    def __init__(
        self,
        connection: Connection[Any],
        projection: Projection,
        number: int,
        checkpoints: dict[int, Checkpoint],
    ) -> None:
        self.connection = connection
        self.projection = projection
        self.number = number
        self.positions = {each.partition: each.position for each in checkpoints.values()}
        self.checkpoints = checkpoints

    @property
    def watermark(self) -> int:
        return min(self.positions.values())

    def check_history(self, feed: EventFeed) -> None:
        """Raises Halted where the feed has another event at a checkpoint than was applied."""
        for partition, checkpoint in self.checkpoints.items():
            if checkpoint.position == 0:
                continue
            found = _record_at(feed, partition, checkpoint.position, self.positions)
            if found is None or (found.event_id, found.event.timestamp) != (
                checkpoint.event_id,
                checkpoint.recorded_at,
            ):
                raise Halted(
                    checkpoint.position,
                    f"the {feed.name} has another history: its event {checkpoint.position} is"
                    f" {found.event_id if found else 'missing'}, the read model was made of"
                    f" {checkpoint.event_id}; was a backup restored? Rebuild this read model",
                    partition,
                )

    def apply(self, records: Sequence[Record]) -> int:
        """Applies what is new among the records in one transaction; gives how many were new.

        Raises LostCheckpoint, or Halted with the position of what can't be applied: everything
        before it has been applied then.
        """
        new = self._new(records)
        if not new:
            return 0
        try:
            self._apply(new)
        except (
            LostCheckpoint,
            psycopg.OperationalError,
            psycopg.InterfaceError,
            psycopg.errors.UndefinedTable,
        ):
            raise
        except Exception as error:
            commands = _commands(new)
            if len(commands) == 1:
                log.exception("%s can't apply %s", self.projection.name, new[0].position)
                reason = f"{type(error).__name__}: {error}"
                raise Halted(new[0].position, reason, new[0].partition) from error
            # Something in here is bad: one command after the other, up to the one that is.
            for command in commands:
                self.apply(command)
        return len(new)

    def _apply(self, new: Sequence[Record]) -> None:
        last = {record.partition: record for record in new}
        with self.connection.transaction():
            move_checkpoints(
                self.connection, self.projection.name, self.number, self.positions, last
            )
            self.projection.apply(self.connection, self.number, new)
        self.positions.update({partition: record.position for partition, record in last.items()})

    def _new(self, records: Sequence[Record]) -> list[Record]:
        """The records above their partition's checkpoint. Raises Halted where one is missing."""
        at = dict(self.positions)
        new = []
        for record in records:
            position, prevposition, partition, _ = record
            if position <= at[partition]:
                continue
            if prevposition > at[partition]:
                raise Halted(
                    at[partition] + 1,
                    f"gap: {position} follows {prevposition}, but {at[partition]} was applied last",
                    partition,
                )
            at[partition] = position
            new.append(record)
        return new


def _commands(records: Sequence[Record]) -> list[list[Record]]:
    commands: list[list[Record]] = []
    for record in records:
        if commands and commands[-1][0].event.command == record.event.command:
            commands[-1].append(record)
        else:
            commands.append([record])
    return commands


def _record_at(
    feed: EventFeed, partition: int, position: int, positions: dict[int, int]
) -> Record | None:
    for record in feed.read({**positions, partition: position - 1}, 1):
        if record.partition == partition and record.position == position:
            return record
    return None


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
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                log.warning("%s: PostgreSQL is away: %s", self._projection.name, error)
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
                except (LostCheckpoint, psycopg.errors.UndefinedTable) as lost:
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


def live_generation(
    connection: Connection[Any], projection: Projection, feed: EventFeed
) -> Generation:
    """The generation that the pointer names; the first one, empty, where there is none.

    Read models are disposable: what somebody dropped, in part or whole, begins from zero.
    """
    ensure_bookkeeping(connection)
    live = pointer(connection, projection.name)
    if live is not None:
        checkpoints = load_checkpoints(connection, projection.name, live.generation)
        if (live.feed, live.partitions) != (feed.name, feed.partitions):
            raise RuntimeError(
                f"{projection.name} was made from the {live.feed} feed with {live.partitions}"
                f" partitions; to change to {feed.name}, rebuild it"
            )
        if len(checkpoints) == live.partitions and tables_exist(
            connection, projection, live.generation
        ):
            return Generation(connection, projection, live.generation, checkpoints)
    number = live.generation if live else 1
    with connection.transaction():
        drop_tables(connection, projection, number)
        delete_checkpoints(connection, projection.name, number)
        create_tables(connection, projection, number)
        create_indexes(connection, projection, number)
        start_checkpoints(connection, projection.name, number, feed.partitions)
        set_pointer(connection, projection.name, Pointer(number, feed.name, feed.partitions))
    checkpoints = load_checkpoints(connection, projection.name, number)
    return Generation(connection, projection, number, checkpoints)


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
