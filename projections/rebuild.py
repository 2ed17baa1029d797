"""Rebuilds a read model from zero beside the live one, and swaps in one transaction.

Nobody waits for it: the live tables serve until the pointer moves, and readers take pointer,
checkpoint and rows from one snapshot. The old tables go when no reader can see them any more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from threading import Event
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import Connection
from psycopg.errors import LockNotAvailable

from projections.checkpoints import (
    ADVISORY_CLASS,
    Pointer,
    delete_checkpoints,
    ensure_bookkeeping,
    hold_pointers,
    load_checkpoints,
    pointer,
    set_pointer,
    start_checkpoints,
)
from projections.feed import EventFeed, FeedAway, Progress
from projections.generation import Generation, Halted, connect
from projections.tables import (
    Projection,
    create_indexes,
    create_tables,
    drop_tables,
    sql,
    summary,
    tables_exist,
)
from projections.worker import WAIT_S, OpenFeed, collect_rarely

log = logging.getLogger("tally.projections")

BATCH: Final = 10_000

READERS_S: Final = 60.0
"""How long the old tables are kept for readers that began before the swap, at the most."""
MIRROR_S: Final = 20.0
"""How long a feed that is behind the live read model is waited for."""


class Filled(NamedTuple):
    """How far a rebuild is, told while it fills."""

    done: int
    """Position reached."""
    total: int
    """End to reach, as last seen."""
    rate: float
    """Events a second since the start."""


class Rebuilt(NamedTuple):
    """What a rebuild did."""

    projection: str
    generation: int
    position: int
    """Watermark at the swap."""
    seconds: float
    """Until the swap."""
    fill_rate: float
    """Events a second, indexes and swap included."""
    same: bool | None
    """Whether the old and the new read model agreed at the position where both stood; None where
    there was no old one, or it was of another history."""


class RebuildStopped(Exception):
    """Told to stop before the swap: the live read model is as it was."""


class RebuildUnderWay(Exception):
    """Another rebuild of this projection is running."""


def rebuild(
    projection: Projection,
    *,
    dsn: str,
    open_feed: OpenFeed,
    stop: Event,
    progress: Callable[[Filled], None] = lambda _: None,
) -> Rebuilt:
    """Fills a new generation from zero and swaps it in.

    Raises RebuildStopped, RebuildUnderWay, FeedAway, and what the worker raises for events that
    can't be applied (Halted, UnreadableRecord): the live read model stays then.
    """
    collect_rarely()
    with (
        closing(connect(dsn, f"tally rebuild {projection.name}")) as connection,
        closing(open_feed()) as feed,
        _alone(connection, projection),
    ):
        feed.leave_out(projection.leaves_out)
        _clear_left_over(connection, projection)
        started = time.monotonic()
        generation = _new_generation(connection, projection, feed)
        try:
            _fill(generation, feed, stop, progress)
            _index(generation)
            _catch_up(generation, feed, stop)
            same = _compare(generation)
            with closing(connect(dsn, f"tally swap {projection.name}")) as swapping:
                old = _swap(swapping, generation, feed, stop)
        except BaseException:
            # A lost connection can't; the next rebuild does.
            with suppress(psycopg.OperationalError, psycopg.InterfaceError):
                _clear_left_over(connection, projection)
            raise
        seconds = time.monotonic() - started
        if old is not None:
            _drop_when_unseen(connection, projection, old)
        watermark = generation.watermark
        rate = watermark / seconds
        return Rebuilt(projection.name, generation.number, watermark, seconds, rate, same)


@contextmanager
def _alone(connection: Connection[Any], projection: Projection) -> Iterator[None]:
    """One rebuild of it at a time. The lock is given back, not left to the connection's end: the
    server sees that a moment after who may begin the next one."""
    ensure_bookkeeping(connection)
    lock = (ADVISORY_CLASS, f"rebuild {projection.name}")
    locked = connection.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", lock).fetchone()
    if not (locked and locked[0]):
        raise RebuildUnderWay(projection.name)
    try:
        yield
    finally:
        with suppress(psycopg.OperationalError, psycopg.InterfaceError):  # lost, with its lock
            connection.execute("SELECT pg_advisory_unlock(%s, hashtext(%s))", lock)


def _clear_left_over(connection: Connection[Any], projection: Projection) -> None:
    """Removes every generation but the live one: what a killed rebuild left behind."""
    live = pointer(connection, projection.name)
    rows = connection.execute(
        "SELECT generation FROM tally_read.checkpoints WHERE projection = %(name)s UNION"
        " SELECT split_part(tablename, '_g', -1)::integer FROM pg_tables"
        " WHERE schemaname = 'tally_read' AND tablename ~ ('^' || %(name)s || '_g[0-9]+$')",
        {"name": projection.name},
    ).fetchall()
    for (number,) in rows:
        if live is None or number != live.generation:
            with connection.transaction():
                drop_tables(connection, projection, number)
                delete_checkpoints(connection, projection.name, number)


def _new_generation(
    connection: Connection[Any], projection: Projection, feed: EventFeed
) -> Generation:
    live = pointer(connection, projection.name)
    # Where there is none, a worker may begin generation 1 any moment.
    number = live.generation + 1 if live else 2
    with connection.transaction():
        drop_tables(connection, projection, number)
        create_tables(connection, projection, number)
        start_checkpoints(connection, projection.name, number, feed.partitions)
    checkpoints = load_checkpoints(connection, projection.name, number)
    return Generation(connection, projection, number, checkpoints)


def _fill(
    generation: Generation,
    feed: EventFeed,
    stop: Event,
    progress: Callable[[Filled], None],
) -> None:
    """Applies all there is, and what came meanwhile, until little is left."""
    started = time.monotonic()
    end = feed.end()
    while generation.watermark < end.mark.position:
        for _ in _up_to(end, generation, feed, stop):
            done = generation.watermark
            progress(Filled(done, end.mark.position, done / (time.monotonic() - started)))
        end = feed.end()
        if end.mark.position - generation.watermark < BATCH // 2:
            return


def _index(generation: Generation) -> None:
    connection, projection, number = generation.connection, generation.projection, generation.number
    with connection.transaction():
        create_indexes(connection, projection, number)
    for name in projection.tables:
        connection.execute(sql(f"ANALYZE tally_read.{name}{{g}}", number))


def _catch_up(generation: Generation, feed: EventFeed, stop: Event) -> None:
    for _ in _up_to(feed.end(), generation, feed, stop):
        pass


def _up_to(end: Progress, generation: Generation, feed: EventFeed, stop: Event) -> Iterator[None]:
    """Applies everything up to that end and nothing beyond, batch by batch: all partitions stand
    at it then, and another feed may go on from there."""
    while generation.watermark < end.mark.position:
        if stop.is_set():
            raise RebuildStopped(generation.projection.name)
        records = feed.read(generation.marks, BATCH)
        wanted = [record for record in records if record.position <= end.mark.position]
        generation.apply(wanted, end)
        yield
        if not records and generation.watermark < end.mark.position:
            feed.wait(WAIT_S)


def _compare(generation: Generation) -> bool | None:
    """Whether the live generation agrees, where the one behind stands; None where there is none."""
    connection, projection = generation.connection, generation.projection
    live = pointer(connection, projection.name)
    if live is None:
        return None
    checkpoints = load_checkpoints(connection, projection.name, live.generation)
    if not checkpoints or not tables_exist(connection, projection, live.generation):
        return None
    position = min(generation.watermark, *(mark.position for mark in checkpoints.values()))
    old, new = (
        summary(connection, projection, number, position)
        for number in (live.generation, generation.number)
    )
    if old != new:
        log.warning(
            "%s at position %s: the old read model has %s, the new one %s",
            projection.name,
            position,
            old,
            new,
        )
    return bool(old == new)


def _swap(
    swapping: Connection[Any], generation: Generation, feed: EventFeed, stop: Event
) -> int | None:
    """Moves the pointer, with the live checkpoints held still: no reader sees time go back.

    The old worker waits on its checkpoint meanwhile, finds it gone, and reads the pointer again.
    Gives the old generation's number.
    """
    name = generation.projection.name
    with swapping.transaction():
        hold_pointers(swapping)
        live = pointer(swapping, name)
        if live is not None:
            checkpoints = load_checkpoints(swapping, name, live.generation, lock=True)
            old = Generation(swapping, generation.projection, live.generation, checkpoints)
            if checkpoints and _of_this_history(old, feed):
                while generation.watermark < old.watermark:
                    _catch_up(generation, feed, stop)
            delete_checkpoints(swapping, name, live.generation)
        set_pointer(swapping, name, Pointer(generation.number, feed.name, feed.partitions))
    return live.generation if live else None


def _of_this_history(old: Generation, feed: EventFeed) -> bool:
    """Not so after a restored backup: then the old position means nothing."""
    deadline = time.monotonic() + MIRROR_S
    while True:
        try:
            old.check_history(feed)
        except Halted:
            return False
        except FeedAway:  # a mirror that is behind, by milliseconds under load
            if time.monotonic() > deadline:
                raise
            feed.wait(WAIT_S)
        else:
            return True


def _drop_when_unseen(connection: Connection[Any], projection: Projection, number: int) -> None:
    """Drops the old tables once every transaction that began before the swap has ended."""
    swapped = connection.execute("SELECT clock_timestamp()").fetchone()
    deadline = time.monotonic() + READERS_S
    while time.monotonic() < deadline:
        seen = connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND xact_start <= %s LIMIT 1",
            swapped,
        ).fetchone()
        if seen is None:
            break
        time.sleep(0.05)
    try:
        with connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '5s'")
            drop_tables(connection, projection, number)
    except LockNotAvailable:
        log.warning("%s: generation %s is still read; left behind", projection.name, number)
