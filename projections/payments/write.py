"""Writes what the fold makes of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import Connection
from psycopg.types.json import Json

from projections.feed import Record
from projections.payments.fold import Made, fold
from projections.tables import copy_rows

_PAYMENTS = """tally_read.payments{g} (created_position, id, position, state, mode, carrier,
    reference, value_date, created_at, postings, metadata, refusal)"""
_PAYMENTS_TYPES = (
    *("int8", "uuid", "int8", "text", "text", "text"),
    *("text", "date", "timestamptz", "json", "json", "json"),
)
_ACCOUNTS = "tally_read.payments_accounts{g} (account, created_position)"


def apply(connection: Connection[Any], generation: int, records: Sequence[Record]) -> None:
    payments = fold(records)
    copy_rows(connection, _PAYMENTS, _PAYMENTS_TYPES, generation, map(_row, payments))
    copy_rows(
        connection,
        _ACCOUNTS,
        ("text", "int8"),
        generation,
        (
            (account, payment.created_position)
            for payment in payments
            for account in payment.accounts
        ),
    )


def _row(payment: Made) -> tuple[Any, ...]:
    *plain, postings, metadata, refusal = payment
    return (*plain, Json(postings), Json(metadata), refusal and Json(refusal))
