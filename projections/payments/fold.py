"""From events to payments: pure functions over records."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from domain.events import (
    AccountChanged,
    AccountClosed,
    AccountEntry,
    AccountFrozen,
    AccountOpened,
    AccountUnfrozen,
    CommandDecided,
    Metadata,
    PaymentDecided,
    PaymentRefused,
    PaymentSettled,
    Posting,
)
from projections.feed import Record


class Made(NamedTuple):
    """A payment that begins in the batch."""

    created_position: int
    id: UUID
    position: int
    """Of its last event: its entries follow its own event, two a posting."""
    state: str
    mode: str
    carrier: str
    reference: str | None
    value_date: date
    created_at: datetime
    postings: tuple[Posting, ...]
    metadata: Metadata
    refusal: dict[str, Any] | None

    @property
    def accounts(self) -> set[str]:
        """Every account it names, once."""
        return {name for posting in self.postings for name in (posting.debit, posting.credit)}


def fold(records: Iterable[Record]) -> list[Made]:
    """The payments that begin in the records, in order. Raises TypeError for an event that this
    version doesn't know."""
    made = []
    for position, _, _, event in records:
        match event:
            case PaymentSettled():
                made.append(_made(event, position, 2 * len(event.postings), "settled", None))
            case PaymentRefused():
                made.append(_made(event, position, 0, "refused", event.refusal))
            case AccountEntry() | CommandDecided():
                pass
            case AccountOpened() | AccountChanged():
                pass
            case AccountFrozen() | AccountUnfrozen() | AccountClosed():
                pass
            case _:
                raise TypeError(f"{event.TOPIC} is unknown to payments")
    return made


def _made(
    event: PaymentDecided,
    position: int,
    entries: int,
    state: str,
    refusal: dict[str, Any] | None,
) -> Made:
    return Made(
        position,
        event.originator_id,
        position + entries,
        state,
        event.mode,
        event.carrier,
        event.reference,
        event.value_date or event.timestamp.date(),
        event.timestamp,
        event.postings,
        event.metadata,
        refusal,
    )
