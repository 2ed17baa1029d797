"""Writes what the fold makes of payment requests, and keeps what they were: see before.py."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from psycopg import Connection

from projections.feed import Record
from projections.payments.requests import (
    RequestState,
    fold_requests,
    of_requests,
    requests_before,
    requests_needed,
)
from projections.tables import sql
from projections.writing import insert_rows, update_rows

# Workers of other partitions are at it too: nobody waits for a row.
_OF_NO_USE = """
DELETE FROM tally_read.payments_requests_before{g} WHERE (id, until) IN (
    SELECT id, until FROM tally_read.payments_requests_before{g} WHERE until <= (
        SELECT min(position) FROM tally_read.checkpoints
        WHERE projection = 'payments' AND generation = %s)
    FOR UPDATE SKIP LOCKED)
"""

_STATE = "position, state, revision, amount, description, expires_in_s, expires_at, payment"
_STATE_TYPES = ("int8", "text", "int4", "int8", "text", "int4", "timestamptz", "uuid")
_REQUESTS = f"""tally_read.payments_requests{{g}} (created_position, id, credit_account, currency,
    reference, created_at, metadata, token_key, {_STATE})"""
_REQUEST_TYPES = (
    *("int8", "uuid", "text", "text", "text", "timestamptz", "json", "text"),
    *_STATE_TYPES,
)
_STATES = f"tally_read.payments_requests{{g}} (id, {_STATE})"
_KNOWN = f"SELECT id, {_STATE} FROM tally_read.payments_requests{{g}} WHERE id = ANY(%s)"
_BEFORE = f"tally_read.payments_requests_before{{g}} (id, until, {_STATE})"


def apply_requests(connection: Connection[Any], generation: int, records: Sequence[Record]) -> None:
    own = of_requests(records)
    if not own:
        return
    folded = fold_requests(own, _known(connection, generation, requests_needed(own)))
    rows = [(*opened, *folded.states.pop(opened.id)) for opened in folded.opened]
    insert_rows(connection, _REQUESTS, _REQUEST_TYPES, generation, rows)
    changed = ((request, *state) for request, state in folded.states.items())
    update_rows(connection, _STATES, generation, changed)


def keep_requests_before(
    connection: Connection[Any], generation: int, records: Sequence[Record]
) -> None:
    """To be called before the records are applied."""
    connection.execute(sql(_OF_NO_USE, generation), (generation,))
    own = of_requests(records)
    known = _known(connection, generation, requests_needed(own))
    insert_rows(
        connection,
        _BEFORE,
        ("uuid", "int8", *_STATE_TYPES),
        generation,
        ((request, until, *state) for request, until, state in requests_before(own, known)),
    )


def _known(
    connection: Connection[Any], generation: int, requests: Collection[UUID]
) -> dict[UUID, RequestState]:
    """What the read model holds of them."""
    if not requests:
        return {}
    rows = connection.execute(sql(_KNOWN, generation), (list(requests),))
    return {request: RequestState(*state) for request, *state in rows}
