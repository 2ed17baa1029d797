"""Writes what the fold makes of a batch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any
from uuid import UUID

from msgspec.json import encode
from psycopg import Connection

from projections.feed import Record
from projections.payments.carriers_write import apply_carriers
from projections.payments.codes_write import apply_codes
from projections.payments.fold import Folded, State, fold, needed
from projections.payments.requests_write import apply_requests
from projections.tables import sql
from projections.writing import insert_rows

_KNOWN = """
SELECT id, position, state, value_date, postings, captured, refunded, refusal, expired
FROM tally_read.payments{g} WHERE id = ANY(%s)
"""

_CHANGE = """
UPDATE tally_read.payments{g} AS p
SET position = n.position, state = n.state, value_date = n.value_date, postings = n.postings,
    captured = n.captured, refunded = n.refunded, refusal = n.refusal, expired = n.expired
FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::date[], %s::json[], %s::json[], %s::json[],
    %s::json[], %s::boolean[])
    AS n (id, position, state, value_date, postings, captured, refunded, refusal, expired)
WHERE p.id = n.id
"""

_PAYMENTS = """tally_read.payments{g} (created_position, id, mode, carrier, reference, created_at,
    metadata, expires_at, execute_at, refund_of, payment_request,
    position, state, value_date, postings, captured, refunded, refusal, expired)"""
STATE_TYPES = ("int8", "text", "date", "json", "json", "json", "json", "bool")
_PAYMENTS_TYPES = (
    *("int8", "uuid", "text", "text", "text", "timestamptz"),
    *("json", "timestamptz", "timestamptz", "uuid", "uuid"),
    *STATE_TYPES,
)
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
    if folded.states:
        rows = ((id, *state_row(state)) for id, state in folded.states.items())
        connection.execute(
            sql(_CHANGE, generation), [list(column) for column in zip(*rows, strict=True)]
        )


def known_states(
    connection: Connection[Any], generation: int, payments: Collection[UUID]
) -> dict[UUID, State]:
    """What the read model holds of them."""
    if not payments:
        return {}
    rows = connection.execute(sql(_KNOWN, generation), (list(payments),))
    return {payment: State(*state) for payment, *state in rows}


def state_row(state: State) -> tuple[Any, ...]:
    position, name, value_date, postings, captured, refunded, refusal, expired = state
    return (
        position,
        name,
        value_date,
        _json(postings),
        _json(captured),
        _json(refunded),
        None if refusal is None else _json(refusal),
        expired,
    )


def _json(value: Any) -> str:
    return encode(value).decode()


def _made_rows(folded: Folded) -> Iterator[tuple[Any, ...]]:
    """Of the payments that begin in the batch; takes their states out, the others are left."""
    for made in folded.made:
        *before, metadata, expires_at, execute_at, refund_of, request = made
        state = state_row(folded.states.pop(made.id))
        yield (*before, _json(metadata), expires_at, execute_at, refund_of, request, *state)
