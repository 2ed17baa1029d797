"""Keeps what accounts were, while the partitions of a feed run apart.

A read is at the watermark, and an account's partition may be beyond it already: its row is then
the last one of these. Those at or before the watermark are of no use any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from psycopg import Connection

from projections.accounts.fold import fold
from projections.feed import Record
from projections.tables import sql
from projections.writing import insert_rows


class State(NamedTuple):
    """Of an account, what events change."""

    version: int
    position: int
    overdraft_limit: int | None
    max_balance: int | None
    metadata: dict[str, str]
    limits: list[dict[str, Any]]
    status: str


_KNOWN = """
SELECT account, version, position, overdraft_limit, max_balance, metadata, limits, status
FROM tally_read.accounts{g} WHERE account = ANY(%s)
"""

_OF_NO_USE = """
DELETE FROM tally_read.accounts_before{g} WHERE account = ANY(%s) AND until <= (
    SELECT min(position) FROM tally_read.checkpoints
    WHERE projection = 'accounts' AND generation = %s)
"""

_BEFORE = """tally_read.accounts_before{g} (account, until, version, position, overdraft_limit,
    max_balance, metadata, limits, status)"""
_TYPES = ("text", "int8", "int8", "int8", "int8", "int8", "json", "json", "text")


def keep_before(connection: Connection[Any], generation: int, records: Sequence[Record]) -> None:
    """To be called before the records are applied."""
    accounts = list(fold(records).moved)
    rows = connection.execute(sql(_KNOWN, generation), (accounts,))
    known = {account: State(*state) for account, *state in rows}
    connection.execute(sql(_OF_NO_USE, generation), (accounts, generation))
    insert_rows(
        connection,
        _BEFORE,
        _TYPES,
        generation,
        ((account, until, *state) for account, until, state in states_before(records, known)),
    )


def states_before(
    records: Iterable[Record], known: Mapping[str, State]
) -> Iterator[tuple[str, int, State]]:
    """Account, position of the record, and what the account was before it, record by record."""
    states = dict(known)
    for record in records:
        folded = fold((record,))
        for opened in folded.opened:
            moved = folded.moved.pop(opened.account)
            states[opened.account] = State(
                *moved, opened.overdraft_limit, opened.max_balance, opened.metadata, [], "open"
            )
        for account, moved in folded.moved.items():
            state = states[account]
            yield account, record.position, state
            changed = dict(folded.changed).get(account, {})
            states[account] = state._replace(**changed, **moved._asdict())
