"""How folds write: by COPY where a transaction is large, and in a pipeline where it is small."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, Final

import psycopg
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
    `json` are what JSON is made of.

    Of no rows nothing is said to the server: a small batch's time is that of its round trips.
    """
    rows = list(rows)
    if not rows:
        return
    if connection.info.pipeline_status:
        _execute(connection, _insert(target), generation, target, rows)
        return
    with (
        connection.cursor() as cursor,
        cursor.copy(sql(f"COPY {target} FROM STDIN (FORMAT BINARY)", generation)) as copy,
    ):
        # Binary JSON is its text; psycopg's own way for it takes a fifth of all.
        copy.set_types(["text" if each == "json" else each for each in types])
        for row in _with_json_told(types, rows):
            copy.write_row(row)


def update_rows(
    connection: Connection[Any], target: str, generation: int, rows: Iterable[Sequence[Any]]
) -> None:
    """Changes rows, each found by its first column; `target` as above. Of no rows nothing is
    said."""
    rows = list(rows)
    if rows:
        _execute(connection, _update(target), generation, target, rows)


def _with_json_told(types: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    indexes = [index for index, each in enumerate(types) if each == "json"]
    if not indexes:
        yield from rows
        return
    for row in rows:
        told = [*row]
        for index in indexes:
            if told[index] is not None:
                told[index] = encode(told[index]).decode()
        yield told


def _execute(
    connection: Connection[Any],
    statement: str,
    generation: int,
    target: str,
    rows: Sequence[Sequence[Any]],
) -> None:
    """With all rows as one JSON array: arrays of columns, a value at a time, take psycopg four
    times as long."""
    columns = [column.strip('"') for column in _columns(target)]
    told = encode([dict(zip(columns, row, strict=True)) for row in rows]).decode()
    connection.execute(sql(statement, generation), (told,), prepare=True)


@cache
def _insert(target: str) -> str:
    table, columns = _table(target), ", ".join(_columns(target))
    return f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {_given(table)}"


@cache
def _update(target: str) -> str:
    table, (key, *others) = _table(target), _columns(target)
    changes = ", ".join(f"{column} = given.{column}" for column in others)
    return (
        f"UPDATE {table} AS known SET {changes} FROM {_given(table)} AS given"
        f" WHERE known.{key} = given.{key}"
    )


def _given(table: str) -> str:
    return f"json_populate_recordset(NULL::{table}, %s::json)"


def _table(target: str) -> str:
    return target.partition(" (")[0]


@cache
def _columns(target: str) -> Sequence[str]:
    columns = target.partition(" (")[2].rstrip(")")
    return [column.strip() for column in columns.split(",")]
