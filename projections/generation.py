"""One generation of a read model on its way along the feed, a transaction a batch."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import psycopg
from psycopg import Connection

from projections.checkpoints import (
    LostCheckpoint,
    Pointer,
    delete_checkpoints,
    ensure_bookkeeping,
    hold_pointers,
    load_checkpoints,
    moved_checkpoints,
    pointer,
    set_pointer,
    start_checkpoints,
)
from projections.feed import START, EventFeed, Mark, Progress, Record
from projections.ownership import workers_of
from projections.tables import (
    Projection,
    create_indexes,
    create_tables,
    drop_tables,
    tables_exist,
)
from projections.writing import transaction

log = logging.getLogger("tally.projections")

_SETTINGS: Final = " ".join(
    (
        "-c TimeZone=UTC",
        # A read model is disposable and its checkpoint is in the same transaction: after a crash
        # of the server both are a moment older, together.
        "-c synchronous_commit=off",
        # Folds have their indexes, but for those of holds while a rebuild fills them: else a plan
        # that scans was made when the table was small. One that has to looks dear to the server,
        # and is not to be compiled for that.
        "-c enable_seqscan=off -c jit=off",
        "-c idle_in_transaction_session_timeout=60s",
        "-c lock_timeout=30s",
        # A worker whose machine is gone must not keep its partitions for hours.
        "-c tcp_keepalives_idle=2 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=2",
    )
)

_OF_THE_EVENT: Final = (psycopg.DataError, psycopg.IntegrityError)
"""What PostgreSQL refuses because of what an event says; all else is its own affair."""


class OtherFeed(Exception):
    """The read model is kept from another feed, and can't be kept from this one for now."""


class Halted(Exception):
    """A projection can't go on: a gap, an event that can't be applied, or another history."""

    def __init__(self, position: int, reason: str, partition: int = 0) -> None:
        super().__init__(reason)
        self.position = position
        self.reason = reason
        self.partition = partition


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
    """One generation of a read model, or some partitions of it, on its way along the feed."""

    def __init__(
        self,
        connection: Connection[Any],
        projection: Projection,
        number: int,
        marks: Mapping[int, Mark],
        *,
        read_of: int = 0,
    ) -> None:
        """`read_of`: where it is read meanwhile, of how many partitions these are."""
        self.connection = connection
        self.projection = projection
        self.number = number
        self.marks = dict(marks)
        """By partition: everything up to here is applied."""
        self._read_of = read_of

    @property
    def watermark(self) -> int:
        return min(mark.position for mark in self.marks.values())

    def of(self, partitions: Collection[int]) -> Generation:
        """These partitions of it alone."""
        marks = {partition: self.marks[partition] for partition in partitions}
        return Generation(
            self.connection, self.projection, self.number, marks, read_of=len(self.marks)
        )

    def check_history(self, feed: EventFeed) -> None:
        """Raises Halted where the feed has another event at a checkpoint than was applied.

        Raises FeedAway where the feed isn't as far yet.
        """
        looked_at: set[Mark] = set()
        for partition, mark in self.marks.items():
            if mark.position == 0 or mark in looked_at:
                continue
            looked_at.add(mark)
            found = feed.find(mark)
            if found != mark:
                raise Halted(
                    mark.position,
                    f"the {feed.name} has another history: its event {mark.position} is"
                    f" {found.event_id if found else 'missing'}, the read model was made of"
                    f" {mark.event_id}; was a backup restored? Rebuild this read model",
                    partition,
                )

    def apply(self, records: Sequence[Record], progress: Progress | None = None) -> int:
        """Applies what is new among the records in one transaction; gives how many were new.

        Partitions that have all their records up to the progress move on to it. Raises
        LostCheckpoint, or Halted with the position of what can't be applied: everything before
        it has been applied then.
        """
        new = self._new(records)
        moved = self._moved(new, progress)
        if not moved:
            return 0
        try:
            self._apply(new, moved)
        except LostCheckpoint:
            raise
        except Exception as error:
            away = isinstance(error, psycopg.Error) and not isinstance(error, _OF_THE_EVENT)
            if away or not new:
                raise
            commands = _commands(new)
            if len(commands) == 1:
                log.exception("%s can't apply %s", self.projection.name, new[0].position)
                reason = f"{type(error).__name__}: {error}"
                raise Halted(new[0].position, reason, new[0].partition) from error
            # Something in here is bad: one command after the other, up to the one that is.
            for command in commands:
                self.apply(command)
        return len(new)

    def _apply(self, new: Sequence[Record], moved: Mapping[int, Mark]) -> None:
        name, number = self.projection.name, self.number
        with (
            transaction(self.connection, len(new)),
            moved_checkpoints(self.connection, name, number, self.marks, moved),
        ):
            if new and self.projection.before and self._leaves_apart(moved):
                self.projection.before(self.connection, self.number, new)
            if new:
                self.projection.apply(self.connection, self.number, new)
        self.marks |= moved

    def _leaves_apart(self, moved: Mapping[int, Mark]) -> bool:
        """Whether readers will find partitions beyond the watermark."""
        after = {mark.position for mark in {**self.marks, **moved}.values()}
        return self._read_of > 0 and (len(self.marks) < self._read_of or len(after) > 1)

    def _moved(self, new: Sequence[Record], progress: Progress | None) -> dict[int, Mark]:
        """Where partitions stand after these records, of those that move."""
        last = {record.partition: record for record in new}
        moved = {partition: record.mark for partition, record in last.items()}
        if progress is not None:
            for partition, mark in self.marks.items():
                at = moved.get(partition, mark).position
                if progress.last[partition] <= at < progress.mark.position:
                    moved[partition] = progress.mark
        return moved

    def _new(self, records: Sequence[Record]) -> list[Record]:
        """The records above their partition's checkpoint. Raises Halted where one is missing."""
        at = {partition: mark.position for partition, mark in self.marks.items()}
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
    """Command by command; where the feed doesn't tell it (NIL), event by event."""
    commands: list[list[Record]] = []
    for record in records:
        command = record.event.command
        if commands and command.int and commands[-1][0].event.command == command:
            commands[-1].append(record)
        else:
            commands.append([record])
    return commands


def live_generation(
    connection: Connection[Any], projection: Projection, feed: EventFeed
) -> Generation:
    """The generation that the pointer names; the first one, empty, where there is none.

    Read models are disposable: what somebody dropped, in part or whole, begins from zero. One
    that was kept from another feed goes on from this one. Raises OtherFeed where it can't.
    """
    ensure_bookkeeping(connection)
    name = projection.name
    with connection.transaction():
        hold_pointers(connection)
        live = pointer(connection, name)
        ours = Pointer(live.generation if live else 1, feed.name, feed.partitions)
        number = ours.generation
        if live and live != ours and workers_of(connection, name, live.feed):
            raise OtherFeed(
                f"a worker keeps it from the {live.feed}: stop that one to keep it from the"
                f" {feed.name}"
            )
        partitions = live.partitions if live else feed.partitions
        marks = load_checkpoints(connection, name, number, lock=live != ours)
        if len(marks) != partitions or not tables_exist(connection, projection, number):
            drop_tables(connection, projection, number)
            create_tables(connection, projection, number)
            create_indexes(connection, projection, number)
            _start(connection, name, ours, START)
        elif live != ours:
            if len(set(marks.values())) > 1:
                raise OtherFeed(
                    "its partitions stand apart: rebuild it from the"
                    f" {feed.name}, or let workers of the other feed catch up first"
                )
            log.info("%s goes on from the %s feed", name, feed.name)
            _start(connection, name, ours, marks[0])
        else:
            return Generation(connection, projection, number, marks)
        marks = load_checkpoints(connection, name, number)
    return Generation(connection, projection, number, marks)


def _start(connection: Connection[Any], name: str, at: Pointer, mark: Mark) -> None:
    """All partitions of the feed at one mark, and the pointer on them."""
    delete_checkpoints(connection, name, at.generation)
    start_checkpoints(connection, name, at.generation, at.partitions, mark)
    set_pointer(connection, name, at)
