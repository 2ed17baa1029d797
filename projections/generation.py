"""One generation of a read model on its way along the feed, a transaction a batch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

import psycopg
from psycopg import Connection

from projections.checkpoints import (
    Checkpoint,
    LostCheckpoint,
    Pointer,
    delete_checkpoints,
    ensure_bookkeeping,
    hold_pointers,
    load_checkpoints,
    move_checkpoints,
    pointer,
    set_pointer,
    start_checkpoints,
)
from projections.feed import EventFeed, Record
from projections.tables import (
    Projection,
    create_indexes,
    create_tables,
    drop_tables,
    tables_exist,
)

log = logging.getLogger("tally.projections")

_SETTINGS: Final = " ".join(
    (
        "-c TimeZone=UTC",
        # A read model is disposable and its checkpoint is in the same transaction: after a crash
        # of the server both are a moment older, together.
        "-c synchronous_commit=off",
        "-c idle_in_transaction_session_timeout=60s",
        "-c lock_timeout=30s",
    )
)

_OF_THE_EVENT: Final = (psycopg.DataError, psycopg.IntegrityError)
"""What PostgreSQL refuses because of what an event says; all else is its own affair."""


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
        except LostCheckpoint:
            raise
        except Exception as error:
            if isinstance(error, psycopg.Error) and not isinstance(error, _OF_THE_EVENT):
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


def live_generation(
    connection: Connection[Any], projection: Projection, feed: EventFeed
) -> Generation:
    """The generation that the pointer names; the first one, empty, where there is none.

    Read models are disposable: what somebody dropped, in part or whole, begins from zero.
    """
    ensure_bookkeeping(connection)
    name = projection.name
    with connection.transaction():
        hold_pointers(connection)
        live = pointer(connection, name)
        if live is not None and (live.feed, live.partitions) != (feed.name, feed.partitions):
            raise RuntimeError(
                f"{name} was made from the {live.feed} feed with {live.partitions} partitions;"
                f" to change to {feed.name}, rebuild it"
            )
        number = live.generation if live else 1
        checkpoints = load_checkpoints(connection, name, number)
        if len(checkpoints) != feed.partitions or not tables_exist(connection, projection, number):
            drop_tables(connection, projection, number)
            delete_checkpoints(connection, name, number)
            create_tables(connection, projection, number)
            create_indexes(connection, projection, number)
            start_checkpoints(connection, name, number, feed.partitions)
            set_pointer(connection, name, Pointer(number, feed.name, feed.partitions))
            checkpoints = load_checkpoints(connection, name, number)
    return Generation(connection, projection, number, checkpoints)
