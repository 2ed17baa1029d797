"""Writes what the fold makes of a batch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any
from uuid import UUID

from psycopg import Connection

from projections.feed import Record
from projections.payments.carriers_write import apply_carriers
from projections.payments.codes_write import apply_codes
from projections.payments.fold import Folded, State, fold, needed
from projections.payments.requests_write import apply_requests
from projections.tables import sql
from projections.writing import insert_rows, update_rows

STATE = "position, state, value_date, postings, captured, refunded, refusal, expired"
STATE_TYPES = ("int8", "text", "date", "json", "json", "json", "json", "bool")
_PAYMENTS = f"""tally_read.payments{{g}} (created_position, id, mode, carrier, reference,
    created_at, metadata, expires_at, execute_at, refund_of, payment_request, {STATE})"""
_PAYMENTS_TYPES = (
    *("int8", "uuid", "text", "text", "text", "timestamptz"),
    *("json", "timestamptz", "timestamptz", "uuid", "uuid"),
    *STATE_TYPES,
)
_STATES = f"tally_read.payments{{g}} (id, {STATE})"
_KNOWN = f"SELECT id, {STATE} FROM tally_read.payments{{g}} WHERE id = ANY(%s)"
_ACCOUNTS = "tally_read.payments_accounts{g} (account, created_position)"


def apply(connection: Connection[Any], generation: int, records: Sequence[Record]) -> None:
    apply_requests(connection, generation, records)
    apply_codes(connection, generation, records)
    apply_carriers(connection, generation, records)
    folded = fold(records, known_states(connection, generation, needed(records)))
    insert_rows(
        connection,
        _ACCOUNTS,
        ("text", "int8"),
        generation,
        (
            (account, made.created_position)
            for made in folded.made
            for account in folded.states[made.id].accounts
        ),
    )
    insert_rows(connection, _PAYMENTS, _PAYMENTS_TYPES, generation, _made_rows(folded))
    changed = ((payment, *state) for payment, state in folded.states.items())
    update_rows(connection, _STATES, generation, changed)


def known_states(
    connection: Connection[Any], generation: int, payments: Collection[UUID]
) -> dict[UUID, State]:
    """What the read model holds of them."""
    if not payments:
        return {}
    rows = connection.execute(sql(_KNOWN, generation), (list(payments),))
    return {payment: State(*state) for payment, *state in rows}


def _made_rows(folded: Folded) -> Iterator[tuple[Any, ...]]:
    """Of the payments that begin in the batch; takes their states out, the others are left."""
    return ((*made, *folded.states.pop(made.id)) for made in folded.made)
