"""Keeps what was booked by carrier and day; while partitions of a feed run apart, also what of it
lies beyond the watermark."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from psycopg import Connection

from projections.arrays import numbers
from projections.feed import Record
from projections.payments.carriers import Booked, Held, booked, held_before
from projections.tables import sql
from projections.writing import insert_rows

_HELD = """
SELECT id, carrier, postings, captured FROM tally_read.payments{g} WHERE id = ANY(%s)
"""

# Each partition has rows of its own: nobody waits for another worker's.
_ADD = """
INSERT INTO tally_read.payments_carriers{g} AS c
    (booking_date, carrier, currency, part, payments, amount)
SELECT * FROM unnest(%s::date[], %s::text[], %s::text[], %s::integer[], %s::bigint[], %s::numeric[])
ON CONFLICT (booking_date, carrier, currency, part) DO UPDATE
SET payments = c.payments + excluded.payments, amount = c.amount + excluded.amount
"""

_AHEAD = """tally_read.payments_carriers_ahead{g} (position, booking_date, carrier, currency,
    payments, amount)"""
_AHEAD_TYPES = ("int8", "date", "text", "text", "int8", "numeric")
# Workers of other partitions are at it too: nobody waits for a row.
_OF_NO_USE = """
DELETE FROM tally_read.payments_carriers_ahead{g} WHERE (position, currency) IN (
    SELECT position, currency FROM tally_read.payments_carriers_ahead{g} WHERE position <= (
        SELECT min(position) FROM tally_read.checkpoints
        WHERE projection = 'payments' AND generation = %s)
    FOR UPDATE SKIP LOCKED)
"""


def apply_carriers(connection: Connection[Any], generation: int, records: Sequence[Record]) -> None:
    """To be called before the payments' own states are written."""
    sums: dict[tuple[date, str, str, int], list[int]] = {}
    for one in _booked(connection, generation, records):
        key = (one.booking_date, one.carrier, one.currency, one.partition)
        of_key = sums.setdefault(key, [0, 0])
        of_key[0] += one.payments
        of_key[1] += one.amount_minor
    if sums:
        columns = [list(column) for column in zip(*sums, strict=True)]
        payments, amounts = zip(*sums.values(), strict=True)
        connection.execute(sql(_ADD, generation), (*columns, [*payments], numbers(amounts)))


def keep_ahead(connection: Connection[Any], generation: int, records: Sequence[Record]) -> None:
    """To be called before the records are applied."""
    connection.execute(sql(_OF_NO_USE, generation), (generation,))
    rows = [
        (one.position, one.booking_date, one.carrier, one.currency, one.payments, one.amount_minor)
        for one in _booked(connection, generation, records)
    ]
    if rows:
        insert_rows(connection, _AHEAD, _AHEAD_TYPES, generation, rows)


def _booked(
    connection: Connection[Any], generation: int, records: Sequence[Record]
) -> Sequence[Booked]:
    return [*booked(records, _known(connection, generation, held_before(records)))]


def _known(
    connection: Connection[Any], generation: int, payments: Collection[UUID]
) -> dict[UUID, Held]:
    """What the read model holds of them."""
    if not payments:
        return {}
    rows = connection.execute(sql(_HELD, generation), (list(payments),))
    return {
        payment: Held(carrier, [posting[3] for posting in postings], captured)
        for payment, carrier, postings, captured in rows
    }
