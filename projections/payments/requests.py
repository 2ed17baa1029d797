"""From events to payment requests: pure functions over records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple, get_args
from uuid import UUID

from domain.events import Metadata
from domain.request_events import (
    PaymentRequestCanceled,
    PaymentRequestChanged,
    PaymentRequestEvent,
    PaymentRequestExpired,
    PaymentRequestOpened,
    PaymentRequestPaid,
)
from projections.feed import Record

_EVENTS: Final = frozenset(get_args(PaymentRequestEvent))


class Opened(NamedTuple):
    """A payment request that begins in the batch: what of it never changes."""

    created_position: int
    id: UUID
    credit_account: str
    currency: str
    reference: str | None
    created_at: datetime
    metadata: Metadata
    token_key: str


class RequestState(NamedTuple):
    """Of a payment request, what events change."""

    position: int
    """Of the last event of the command that changed it last."""
    state: str
    revision: int
    amount: int | None
    """Minor units; None is the payer's choice."""
    description: str | None
    expires_in_s: int
    expires_at: datetime
    payment: UUID | None
    """The one that paid it."""


@dataclass(slots=True)
class FoldedRequests:
    """What a batch changes."""

    opened: list[Opened] = field(default_factory=list)
    states: dict[UUID, RequestState] = field(default_factory=dict)
    """As the batch leaves them: those opened, and those opened before it."""


def of_requests(records: Iterable[Record]) -> list[Record]:
    """Those that are payment requests' own."""
    return [record for record in records if type(record.event) in _EVENTS]


def requests_needed(records: Iterable[Record]) -> set[UUID]:
    """Payment requests whose state before the batch the fold may ask for."""
    return {
        record.event.originator_id
        for record in records
        if not isinstance(record.event, PaymentRequestOpened)
    }


def fold_requests(records: Iterable[Record], known: Mapping[UUID, RequestState]) -> FoldedRequests:
    """What payment requests' own records, in order, make of them. Raises LookupError for one that
    was never opened.

    A client's command ends with its record; a payment, and the ledger's own step, with the event.
    """
    folded = FoldedRequests()
    states = folded.states
    for position, _, _, event in records:
        request = event.originator_id
        if isinstance(event, PaymentRequestOpened):
            folded.opened.append(
                Opened(
                    position,
                    request,
                    event.credit_account,
                    event.currency,
                    event.reference,
                    event.timestamp,
                    event.metadata,
                    event.token_key,
                )
            )
            states[request] = RequestState(
                position + 1,
                "open",
                1,
                event.amount_minor,
                event.description,
                event.expires_in_s,
                event.expires_at,
                None,
            )
            continue
        before = states.get(request) or known[request]
        match event:
            case PaymentRequestChanged():
                states[request] = RequestState(
                    position + 1,
                    before.state,
                    event.revision,
                    event.amount_minor,
                    event.description,
                    event.expires_in_s,
                    event.expires_at,
                    None,
                )
            case PaymentRequestPaid():
                states[request] = before._replace(
                    position=position, state="paid", payment=event.payment
                )
            case PaymentRequestCanceled():
                states[request] = before._replace(position=position + 1, state="canceled")
            case PaymentRequestExpired():
                states[request] = before._replace(position=position, state="expired")
            case _:
                raise TypeError(f"{event.TOPIC} is unknown to payment requests")
    return folded


def requests_before(
    records: Iterable[Record], known: Mapping[UUID, RequestState]
) -> Iterator[tuple[UUID, int, RequestState]]:
    """Request, the position that a record gives it, and what it was before, record by record."""
    states = dict(known)
    for record in records:
        for request, state in fold_requests((record,), states).states.items():
            if request in states:
                yield request, state.position, states[request]
            states[request] = state
