"""Loads what the fold goes on from, and writes what it makes of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection

from projections.arrays import texts
from projections.feed import Record
from projections.statements.fold import Day, Sums, Totals, fold, needed
from projections.tables import sql
from projections.writing import insert_rows

# As text: from a numeric to an integer by way of Decimal takes twice as long.
_TOTALS = """
SELECT wanted.account, coalesce(last.debits, 0)::text, coalesce(last.credits, 0)::text,
    coalesce(last.off_debits, 0)::text, coalesce(last.off_credits, 0)::text
FROM unnest(%s::text[]) AS wanted (account)
LEFT JOIN LATERAL (
    SELECT e.debits, e.credits, e.off_debits, e.off_credits FROM tally_read.statements{g} e
    WHERE e.account = wanted.account ORDER BY e.position DESC LIMIT 1
) last ON true
WHERE last.debits IS NOT NULL
    OR (SELECT true FROM tally_read.statements_accounts{g} a WHERE a.account = wanted.account)
"""

_OFF_DAYS = """
SELECT wanted.account, wanted.value_date, last.debits, last.credits
FROM unnest(%s::text[], %s::date[]) AS wanted (account, value_date)
CROSS JOIN LATERAL (
    SELECT o.debits, o.credits FROM tally_read.statements_off_days{g} o
    WHERE o.account = wanted.account AND o.value_date = wanted.value_date
    ORDER BY o.position DESC LIMIT 1
) last
"""

_FIRST_POSITIONS = """
INSERT INTO tally_read.statements_days{g} AS d (booking_date, first_position)
SELECT * FROM unnest(%s::date[], %s::bigint[])
ON CONFLICT (booking_date) DO UPDATE SET first_position = excluded.first_position
WHERE excluded.first_position < d.first_position
"""

_OPENED = "tally_read.statements_accounts{g} (account, currency, normal_side, opened_position)"
_ENTRIES = """tally_read.statements{g} (account, position, recorded_at, value_date, payment, side,
    amount, balance, counter_account, reference, debits, credits, off_debits, off_credits)"""
_OFF = "tally_read.statements_off_days{g} (account, value_date, position, debits, credits)"

_SUMS = ("numeric", "numeric", "numeric", "numeric")
_ENTRY_TYPES = (
    *("text", "int8", "timestamptz", "date", "uuid", "text"),
    *("int8", "int8", "text", "text", *_SUMS),
)


def apply(connection: Connection[Any], generation: int, records: Sequence[Record]) -> None:
    accounts, days = needed(records)
    folded = fold(
        records,
        _totals(connection, generation, accounts),
        _off_days(connection, generation, days),
    )
    if folded.first_positions:
        connection.execute(
            sql(_FIRST_POSITIONS, generation),
            (list(folded.first_positions), list(folded.first_positions.values())),
        )
    insert_rows(connection, _OPENED, ("text", "text", "text", "int8"), generation, folded.opened)
    insert_rows(
        connection,
        _ENTRIES,
        _ENTRY_TYPES,
        generation,
        folded.entries,
    )
    if folded.off:
        insert_rows(
            connection,
            _OFF,
            ("text", "date", "int8", "numeric", "numeric"),
            generation,
            ((*day, position, *sums) for day, position, sums in folded.off),
        )


def _totals(connection: Connection[Any], generation: int, accounts: set[str]) -> dict[str, Totals]:
    rows = connection.execute(sql(_TOTALS, generation), (texts(accounts),))
    return {account: Totals._make(map(int, sums)) for account, *sums in rows}


def _off_days(connection: Connection[Any], generation: int, days: set[Day]) -> dict[Day, Sums]:
    if not days:
        return {}
    wanted = (list(each) for each in zip(*days, strict=True))
    rows = connection.execute(sql(_OFF_DAYS, generation), tuple(wanted))
    return {
        (account, value_date): Sums(int(debits), int(credits_))
        for account, value_date, debits, credits_ in rows
    }
