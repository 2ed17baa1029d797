"""Keeps what payments were, while the partitions of a feed run apart.

A read is at the watermark, and a payment's partition may be beyond it already: what it was then
is the one of these that began at or before the watermark and ended beyond it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg import Connection

from projections.feed import Record
from projections.payments.carriers_write import keep_ahead
from projections.payments.fold import State, fold, needed
from projections.payments.requests_write import keep_requests_before
from projections.payments.write import STATE, STATE_TYPES, known_states
from projections.tables import sql
from projections.writing import insert_rows

# Workers of other partitions are at it too: nobody waits for a row.
_OF_NO_USE = """
DELETE FROM tally_read.payments_before{g} WHERE (id, until) IN (
    SELECT id, until FROM tally_read.payments_before{g} WHERE until <= (
        SELECT min(position) FROM tally_read.checkpoints
        WHERE projection = 'payments' AND generation = %s)
    FOR UPDATE SKIP LOCKED)
"""

_BEFORE = f"tally_read.payments_before{{g}} (id, until, {STATE})"


def keep_before(connection: Connection[Any], generation: int, records: Sequence[Record]) -> None:
    """To be called before the records are applied."""
    keep_requests_before(connection, generation, records)
    keep_ahead(connection, generation, records)
    connection.execute(sql(_OF_NO_USE, generation), (generation,))
    known = known_states(connection, generation, needed(records))
    insert_rows(
        connection,
        _BEFORE,
        ("uuid", "int8", *STATE_TYPES),
        generation,
        ((payment, until, *state) for payment, until, state in states_before(records, known)),
    )


def states_before(
    records: Iterable[Record], known: Mapping[UUID, State]
) -> Iterator[tuple[UUID, int, State]]:
    """Payment, the position that a record gives it, and what it was before it, record by record."""
    states = dict(known)
    for record in records:
        for payment, state in fold((record,), states).states.items():
            if payment in states:
                yield payment, state.position, states[payment]
            states[payment] = state
