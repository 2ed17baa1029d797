"""What every read model has: tables of a generation.

SQL of ours names its tables with `{g}`, which becomes the generation's suffix: `balances{g}` is
`balances_g3`. Generations stand side by side while a rebuild fills one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from hashlib import sha256
from pathlib import Path
from types import UnionType
from typing import Any, Final

from psycopg import Connection

from projections.feed import Record

BEYOND: Final = "\U0010ffff"
"""After any character of an id: ids that begin with a prefix lie below prefix + BEYOND, by bytes.
A range, and not LIKE: a prefix may hold `_` and `%`."""

Apply = Callable[[Connection[Any], int, Sequence[Record]], None]
"""Folds records into the tables of a generation, in the transaction that is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """A read model: its folder holds `table.sql`, `indexes.sql`, the fold and the queries."""

    name: str
    folder: Path
    tables: tuple[str, ...]
    apply: Apply
    leaves_out: UnionType
    """Types of events that its folds make nothing of."""
    before: Apply | None = None
    """Keeps what rows were, so that they can be read at the watermark; called before `apply`,
    where partitions stand apart after it."""
    summary: str
    """SQL that gives one row of sums at %(position)s, by which two generations are compared."""


@lru_cache(maxsize=1024)
def sql(template: str, generation: int) -> bytes:
    """The statement for the tables of a generation."""
    return template.replace("{g}", f"_g{generation}").encode()


def create_tables(connection: Connection[Any], projection: Projection, generation: int) -> None:
    _run(connection, projection, generation, "table.sql")
    for name in projection.tables:
        comment = f"COMMENT ON TABLE tally_read.{name}{{g}} IS '{_shape(projection)}'"
        connection.execute(sql(comment, generation))


def create_indexes(connection: Connection[Any], projection: Projection, generation: int) -> None:
    """Made apart, since a rebuild fills its tables faster without them."""
    _run(connection, projection, generation, "indexes.sql")


def drop_tables(connection: Connection[Any], projection: Projection, generation: int) -> None:
    names = ", ".join(f"tally_read.{name}{{g}}" for name in projection.tables)
    connection.execute(sql(f"DROP TABLE IF EXISTS {names}", generation))


def tables_exist(connection: Connection[Any], projection: Projection, generation: int) -> bool:
    """Whether all are there in the shape that this version gives them: an older one's are not."""
    found = connection.execute(
        "SELECT bool_and(obj_description(to_regclass(name), 'pg_class') IS NOT DISTINCT FROM %s)"
        " FROM unnest(%s::text[]) AS name",
        (
            _shape(projection),
            [f"tally_read.{name}_g{generation}" for name in projection.tables],
        ),
    ).fetchone()
    return found == (True,)


def summary(
    connection: Connection[Any], projection: Projection, generation: int, position: int
) -> tuple[Any, ...]:
    """Sums of the read model as it was at a position: equal, where two generations agree."""
    row = connection.execute(sql(projection.summary, generation), {"position": position}).fetchone()
    assert row is not None, "a summary is one row"
    return tuple(row)


@cache
def _shape(projection: Projection) -> str:
    """What its tables and indexes are made by, in short."""
    files = (projection.folder / "table.sql", projection.folder / "indexes.sql")
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def _run(connection: Connection[Any], projection: Projection, generation: int, file: str) -> None:
    connection.execute(sql((projection.folder / file).read_text("utf-8"), generation))
