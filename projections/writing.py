"""How folds write: by COPY where a transaction is large, and in a pipeline where it is small."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cache
from typing import Any, Final

import psycopg
from msgspec import Raw
from msgspec.json import encode
from psycopg import Connection

from projections.tables import sql

SMALL: Final = 200
"""Records of a transaction whose time is that of its round trips. Of 15 records, in a pipeline, it
takes a third less of both processors; of thousands COPY takes half of the server's time."""


@contextmanager
def transaction(connection: Connection[Any], records: int) -> Iterator[None]:
    """One that writes what these many records make.

    In a small one a statement is not waited for until rows of it, or of a later one, are fetched:
    what it raises may be raised there or at the end, and how many rows it changed is not known
    before.
    """
    if records > SMALL:
        with connection.transaction():
            yield
        return
    try:
        with connection.pipeline():
            connection.execute("BEGIN")
            yield
            connection.execute("COMMIT")
    except BaseException:
        with suppress(psycopg.OperationalError):  # the connection is gone, and the transaction too
            connection.rollback()
        raise


def insert_rows(
    connection: Connection[Any],
    target: str,
    types: Sequence[str],
    generation: int,
    rows: Iterable[Sequence[Any]],
) -> None:
    """Writes rows: `target` is `tally_read.name{g} (columns)`, as many `types`; values of type
    `json` are JSON as text.

    Of no rows nothing is said to the server: a small batch's time is that of its round trips.
    """
    rows = list(rows)
    if not rows:
        return
    if connection.info.pipeline_status:
        connection.execute(
            sql(_insert(target), generation), (_json_rows(target, types, rows),), prepare=True
        )
        return
    with (
        connection.cursor() as cursor,
        cursor.copy(sql(f"COPY {target} FROM STDIN (FORMAT BINARY)", generation)) as copy,
    ):
        # Binary JSON is its text; psycopg's own way for it takes a fifth of all.
        copy.set_types(["text" if each == "json" else each for each in types])
        for row in rows:
            copy.write_row(row)


@cache
def _insert(target: str) -> str:
    table, columns = _table(target), ", ".join(_columns(target))
    return (
        f"INSERT INTO {table} ({columns})"
        f" SELECT {columns} FROM json_populate_recordset(NULL::{table}, %s::json)"
    )


def _json_rows(target: str, types: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Encoded at once: arrays of columns, a value at a time, take psycopg four times as long."""
    names = [column.strip('"') for column in _columns(target)]
    told = [dict(zip(names, row, strict=True)) for row in rows]
    for name, each in zip(names, types, strict=True):
        if each == "json":
            for row in told:
                if row[name] is not None:
                    row[name] = Raw(row[name].encode())
    return encode(told).decode()


def _table(target: str) -> str:
    return target.partition(" (")[0]


@cache
def _columns(target: str) -> Sequence[str]:
    columns = target.partition(" (")[2].rstrip(")")
    return [column.strip() for column in columns.split(",")]


def numbers(values: Iterable[int | None]) -> str:
    """An array of integers as PostgreSQL reads it; psycopg, value by value, takes seven times as
    long, which was an eighth of a rebuild."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def texts(values: Iterable[str]) -> str:
    """An array of texts as PostgreSQL reads it, as `numbers` are. They hold no NUL: no text in
    PostgreSQL does."""
    listed = [*values]
    quoted = "\0".join(listed).replace("\\", "\\\\").replace('"', '\\"').replace("\0", '","')
    return '{"' + quoted + '"}' if listed else "{}"


def times(values: Iterable[datetime]) -> str:
    """An array of times as PostgreSQL reads it, as `numbers` are."""
    told: dict[datetime, str] = {}  # what one batch recorded has one time, and each takes 0.8 µs
    return (
        "{"
        + ",".join([told.get(each) or told.setdefault(each, each.isoformat()) for each in values])
        + "}"
    )
