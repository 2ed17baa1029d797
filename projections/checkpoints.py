"""How far each read model is: its pointer to the live generation, and one checkpoint a partition.

A checkpoint says: everything of this partition up to here is applied. It moves in the transaction
that writes the read model, by compare-and-set, so that each event has its effect once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from psycopg import Connection

from projections.arrays import numbers
from projections.feed import START, Mark

ADVISORY_CLASS: Final = 1_952_541_810
"""First number of our two-number advisory locks; the second is made of the projection's name."""

BOOKKEEPING: Final = b"""
CREATE TABLE IF NOT EXISTS tally_read.pointers (
    projection text    PRIMARY KEY,
    generation integer NOT NULL,
    feed       text    NOT NULL,
    partitions integer NOT NULL
);
CREATE TABLE IF NOT EXISTS tally_read.checkpoints (
    projection      text    NOT NULL,
    generation      integer NOT NULL,
    partition       integer NOT NULL,
    position        bigint  NOT NULL,
    event_id        text,
    recorded_at     timestamptz,
    halted_position bigint,
    halted_reason   text,
    PRIMARY KEY (projection, generation, partition)
) WITH (fillfactor = 50);
"""
"""`event_id` and `recorded_at` are those of the event at the position; NULL at position 0.
What halted a partition stands with it, and is gone when the checkpoint moves on."""


class LostCheckpoint(Exception):
    """Another worker moved the checkpoint, or a rebuild took its generation away."""


class Pointer(NamedTuple):
    """The live generation of a projection, and the feed that its checkpoints belong to."""

    generation: int
    feed: str
    partitions: int


def hold_pointers(connection: Connection[Any]) -> None:
    """Until the transaction ends nobody else makes a pointer or moves one."""
    connection.execute("SELECT pg_advisory_xact_lock(%s, 0)", (ADVISORY_CLASS,))


def ensure_bookkeeping(connection: Connection[Any]) -> None:
    """Makes both tables (and the schema) where somebody dropped them; safe to run at once."""
    with connection.transaction():
        hold_pointers(connection)
        found = connection.execute("SELECT to_regnamespace('tally_read') IS NOT NULL").fetchone()
        if not (found and found[0]):
            connection.execute("CREATE SCHEMA tally_read")
        connection.execute(BOOKKEEPING)


def pointer(connection: Connection[Any], projection: str) -> Pointer | None:
    row = connection.execute(
        "SELECT generation, feed, partitions FROM tally_read.pointers WHERE projection = %s",
        (projection,),
    ).fetchone()
    return Pointer(*row) if row else None


def set_pointer(connection: Connection[Any], projection: str, to: Pointer) -> None:
    connection.execute(
        "INSERT INTO tally_read.pointers VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (projection) DO UPDATE SET (generation, feed, partitions)"
        " = (excluded.generation, excluded.feed, excluded.partitions)",
        (projection, *to),
    )


def start_checkpoints(
    connection: Connection[Any],
    projection: str,
    generation: int,
    partitions: int,
    mark: Mark = START,
) -> None:
    """One checkpoint for each partition, all at one mark."""
    connection.execute(
        "INSERT INTO tally_read.checkpoints"
        " (projection, generation, partition, position, event_id, recorded_at)"
        " SELECT %s, %s, partition, %s, %s, %s FROM generate_series(0, %s - 1) AS partition",
        (projection, generation, *mark, partitions),
    )


def load_checkpoints(
    connection: Connection[Any], projection: str, generation: int, *, lock: bool = False
) -> dict[int, Mark]:
    """Marks by partition; with `lock` no worker moves them until the transaction ends."""
    rows = connection.execute(
        "SELECT partition, position, event_id, recorded_at FROM tally_read.checkpoints"
        " WHERE projection = %s AND generation = %s ORDER BY partition"
        + (" FOR UPDATE" if lock else ""),
        (projection, generation),
    ).fetchall()
    return {partition: Mark(*mark) for partition, *mark in rows}


@contextmanager
def moved_checkpoints(
    connection: Connection[Any],
    projection: str,
    generation: int,
    expected: Mapping[int, Mark],
    moved: Mapping[int, Mark],
) -> Iterator[None]:
    """Moves each of these partitions from the mark expected, in the transaction that is open.

    Raises LostCheckpoint at the end of the block where one stands elsewhere, whatever else that
    has led to: what was applied must be rolled back.
    """
    # Those that stood together and go to the same mark are one statement: nearly always all.
    together: dict[tuple[int, Mark], list[int]] = {}
    for partition, mark in moved.items():
        together.setdefault((expected[partition].position, mark), []).append(partition)
    told = [
        (
            connection.execute(
                "UPDATE tally_read.checkpoints"
                " SET position = %s, event_id = %s, recorded_at = %s,"
                " halted_position = NULL, halted_reason = NULL"
                " WHERE projection = %s AND generation = %s"
                " AND partition = ANY(%s::integer[]) AND position = %s RETURNING partition",
                (*mark, projection, generation, numbers(partitions), position),
            ),
            len(partitions),
        )
        for (position, mark), partitions in together.items()
    ]
    try:
        yield
        for cursor, _ in told:
            cursor.fetchall()  # answered by now, whatever else is
    finally:
        if any(0 <= cursor.rowcount < count for cursor, count in told):
            raise LostCheckpoint(f"{projection} generation {generation} partitions {[*moved]}")


def halt_checkpoint(
    connection: Connection[Any],
    projection: str,
    generation: int,
    partition: int,
    *,
    position: int,
    reason: str,
) -> None:
    """Keeps where and why a projection stopped, for everybody to see."""
    connection.execute(
        "UPDATE tally_read.checkpoints SET halted_position = %s, halted_reason = %s"
        " WHERE projection = %s AND generation = %s AND partition = %s",
        (position, reason[:1000].replace("\0", ""), projection, generation, partition),
    )


def delete_checkpoints(connection: Connection[Any], projection: str, generation: int) -> None:
    connection.execute(
        "DELETE FROM tally_read.checkpoints WHERE projection = %s AND generation = %s",
        (projection, generation),
    )
