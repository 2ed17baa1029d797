"""Writes what the fold makes of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from psycopg import Connection
from psycopg.types.json import Json

from projections.accounts.fold import fold
from projections.arrays import numbers, texts
from projections.feed import Record
from projections.tables import sql
from projections.writing import insert_rows

_OPENED = """tally_read.accounts{g} (account, currency, normal_side, opened_at, opened_position,
    overdraft_limit, max_balance, metadata, limits, status, version, position)"""
_OPENED_TYPES = (
    *("text", "text", "text", "timestamptz", "int8"),
    *("int8", "int8", "json", "json", "text", "int8", "int8"),
)

_MOVE = """
WITH moved AS (
    UPDATE tally_read.accounts{g} AS a SET version = n.version, position = n.position
    FROM unnest(%s::text[], %s::bigint[], %s::bigint[]) AS n (account, version, position)
    WHERE a.account = n.account RETURNING 1
) SELECT count(*) FROM moved
"""

_CHANGE: Final = {
    name: f"UPDATE tally_read.accounts{{g}} SET {name} = %s WHERE account = %s"
    for name in ("overdraft_limit", "max_balance", "metadata", "limits", "status")
}


def apply(connection: Connection[Any], generation: int, records: Sequence[Record]) -> None:
    folded = fold(records)
    insert_rows(
        connection,
        _OPENED,
        _OPENED_TYPES,
        generation,
        ((*opened, [], "open", *folded.moved.pop(opened.account)) for opened in folded.opened),
    )
    for account, changed in folded.changed:
        for name, value in changed.items():
            given = Json(value) if name in ("metadata", "limits") else value
            connection.execute(sql(_CHANGE[name], generation), (given, account))
    if folded.moved:
        moved = connection.execute(
            sql(_MOVE, generation),
            (texts(folded.moved), *map(numbers, zip(*folded.moved.values(), strict=True))),
        ).fetchone()
        if moved != (len(folded.moved),):
            raise LookupError("an event is of an account that was never opened")
