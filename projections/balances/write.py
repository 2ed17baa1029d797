"""Writes what the fold makes of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection

from projections.balances.fold import Balance, Known, Opened, fold, needed
from projections.feed import Record
from projections.tables import copy_rows, numbers, sql

_KNOWN = """
SELECT account, normal_side, position, version, posted, pending_debit, pending_credit, available
FROM tally_read.balances{g} WHERE account = ANY(%s)
"""

_UPDATE = """
UPDATE tally_read.balances{g} AS b
SET position = n.position, version = n.version, posted = n.posted,
    pending_debit = n.pending_debit, pending_credit = n.pending_credit, available = n.available
FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],
    %s::numeric[])
    AS n (account, position, version, posted, pending_debit, pending_credit, available)
WHERE b.account = n.account
"""

_CURRENT = """tally_read.balances{g} (account, currency, normal_side, opened_position,
    position, version, posted, pending_debit, pending_credit, available)"""
_HISTORY = """tally_read.balances_history{g} (account,
    position, version, posted, pending_debit, pending_credit, available)"""
_BALANCE_TYPES = ("int8", "int8", "int8", "int8", "int8", "numeric")


def apply(connection: Connection[Any], generation: int, records: Sequence[Record]) -> None:
    folded = fold(records, _known(connection, generation, needed(records)))
    copy_rows(
        connection,
        _HISTORY,
        ("text", *_BALANCE_TYPES),
        generation,
        ((account, *balance) for account, balance in folded.history),
    )
    copy_rows(
        connection,
        _CURRENT,
        ("text", "text", "text", "int8", *_BALANCE_TYPES),
        generation,
        (_opened_row(opened, folded.current.pop(opened.account)) for opened in folded.opened),
    )
    if folded.current:
        moved = connection.execute(
            sql(_UPDATE, generation),
            (
                list(folded.current),
                *map(numbers, zip(*folded.current.values(), strict=True)),
            ),
        )
        if moved.rowcount != len(folded.current):
            raise LookupError("an event is of an account that was never opened")


def _opened_row(opened: Opened, balance: Balance) -> tuple[Any, ...]:
    return (*opened, *balance)


def _known(connection: Connection[Any], generation: int, accounts: set[str]) -> dict[str, Known]:
    if not accounts:
        return {}
    rows = connection.execute(sql(_KNOWN, generation), (list(accounts),))
    return {
        account: Known(side, Balance._make((*numbers, None if limit is None else int(limit))))
        for account, side, *numbers, limit in rows
    }
