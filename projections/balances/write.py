"""Loads what the fold goes on from, and writes what it makes of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from psycopg import Connection

from projections.arrays import numbers, texts, times
from projections.balances.fold import Balance, Hold, HoldKey, Known, Opened, fold, needed
from projections.feed import Record
from projections.tables import sql
from projections.writing import insert_rows

_KNOWN = """
SELECT account, normal_side, position, version, posted, pending_debit, pending_credit, available,
    balanced_at
FROM tally_read.balances{g} WHERE account = ANY(%s)
"""

_KNOWN_HOLDS = """
SELECT h.payment, h.posting, h.side, h.account, h.opened_position, h.currency, h.counter_account,
    h.expires_at, h.amount, h.captured, h."left", h.expired, h.position
FROM unnest(%s::uuid[], %s::integer[], %s::text[]) AS wanted (payment, posting, side)
JOIN tally_read.balances_holds{g} h USING (payment, posting, side)
"""

_UPDATE = """
WITH moved AS (
    UPDATE tally_read.balances{g} AS b
    SET position = n.position, version = n.version, posted = n.posted,
        pending_debit = n.pending_debit, pending_credit = n.pending_credit,
        available = n.available, balanced_at = n.balanced_at
    FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],
        %s::numeric[], %s::timestamptz[])
        AS n (account, position, version, posted, pending_debit, pending_credit, available,
            balanced_at)
    WHERE b.account = n.account RETURNING 1
) SELECT count(*) FROM moved
"""

_UPDATE_HOLDS = """
UPDATE tally_read.balances_holds{g} AS h
SET captured = n.captured, "left" = n."left", expired = n.expired, position = n.position
FROM unnest(%s::uuid[], %s::integer[], %s::text[], %s::bigint[], %s::bigint[], %s::boolean[],
    %s::bigint[])
    AS n (payment, posting, side, captured, "left", expired, position)
WHERE h.payment = n.payment AND h.posting = n.posting AND h.side = n.side
"""

_CURRENT = """tally_read.balances{g} (account, currency, normal_side, opened_position,
    position, version, posted, pending_debit, pending_credit, available, balanced_at)"""
_HISTORY = """tally_read.balances_history{g} (account,
    position, version, posted, pending_debit, pending_credit, available, balanced_at)"""
_BALANCE_TYPES = ("int8", "int8", "int8", "int8", "int8", "numeric", "timestamptz")

_HOLDS = """tally_read.balances_holds{g} (payment, posting, side, account, opened_position,
    currency, counter_account, expires_at, amount, captured, "left", expired, position)"""
_HOLD_TYPES = (
    *("uuid", "int4", "text", "text", "int8"),
    *("text", "text", "timestamptz", "int8", "int8", "int8", "bool", "int8"),
)
_HOLDS_HISTORY = """tally_read.balances_holds_history{g} (account, opened_position, position,
    captured, "left")"""


def apply(connection: Connection[Any], generation: int, records: Sequence[Record]) -> None:
    untold, keys = needed(records)
    holds = _known_holds(connection, generation, keys)
    folded = fold(records, _known(connection, generation, untold), holds)
    insert_rows(
        connection,
        _HISTORY,
        ("text", *_BALANCE_TYPES),
        generation,
        folded.history,
    )
    insert_rows(
        connection,
        _CURRENT,
        ("text", "text", "text", "int8", *_BALANCE_TYPES),
        generation,
        (_opened_row(opened, folded.current.pop(opened.account)) for opened in folded.opened),
    )
    if folded.current:
        accounts, *columns, balanced_at = zip(*folded.current.values(), strict=True)
        moved = connection.execute(
            sql(_UPDATE, generation),
            (texts(accounts), *map(numbers, columns), times(balanced_at)),
        ).fetchone()
        if moved != (len(folded.current),):
            raise LookupError("an event is of an account that was never opened")
    if folded.holds:
        _write_holds(connection, generation, folded.holds_history, folded.holds, holds.keys())


def _opened_row(opened: Opened, balance: Balance) -> tuple[Any, ...]:
    return (*opened, *balance[1:])


def _write_holds(
    connection: Connection[Any],
    generation: int,
    history: Iterable[Hold],
    holds: Mapping[HoldKey, Hold],
    known: Set[HoldKey],
) -> None:
    insert_rows(
        connection,
        _HOLDS_HISTORY,
        ("text", "int8", "int8", "int8", "int8"),
        generation,
        (
            (hold.account, hold.opened_position, hold.position, hold.captured, hold.left)
            for hold in history
        ),
    )
    insert_rows(
        connection,
        _HOLDS,
        _HOLD_TYPES,
        generation,
        (hold for key, hold in holds.items() if key not in known),
    )
    if known:
        moved = [
            (*key, hold.captured, hold.left, hold.expired, hold.position)
            for key, hold in holds.items()
            if key in known
        ]
        connection.execute(
            sql(_UPDATE_HOLDS, generation), tuple(map(list, zip(*moved, strict=True)))
        )


def _known(connection: Connection[Any], generation: int, accounts: set[str]) -> dict[str, Known]:
    if not accounts:
        return {}
    rows = connection.execute(sql(_KNOWN, generation), (list(accounts),))
    return {
        account: Known(
            side,
            Balance._make((account, *told, None if available is None else int(available), at)),
        )
        for account, side, *told, available, at in rows
    }


def _known_holds(
    connection: Connection[Any], generation: int, keys: set[HoldKey]
) -> dict[HoldKey, Hold]:
    """Those of them that the batch doesn't open itself."""
    if not keys:
        return {}
    wanted = (list(each) for each in zip(*keys, strict=True))
    rows = connection.execute(sql(_KNOWN_HOLDS, generation), tuple(wanted))
    return {HoldKey(*row[:3]): Hold(*row) for row in rows}
