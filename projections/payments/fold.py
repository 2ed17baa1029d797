"""From events to payments: pure functions over records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, NamedTuple, assert_never, get_args
from uuid import UUID

from domain.code_events import CodeEvent
from domain.confirmation_events import PaymentConfirmed, PaymentDeclined, PaymentPending
from domain.events import (
    AccountChanged,
    AccountClosed,
    AccountEntry,
    AccountFrozen,
    AccountHold,
    AccountOpened,
    AccountUnfrozen,
    CommandDecided,
    Metadata,
    PaymentCanceled,
    PaymentCaptured,
    PaymentDecided,
    PaymentExpired,
    PaymentHeld,
    PaymentRefunded,
    PaymentRefused,
    PaymentScheduled,
    PaymentSettled,
    PaymentVoided,
    Posting,
    accounts_of,
)
from domain.payment import PaymentStep, account_events, elsewhere
from domain.request_events import PaymentRequestEvent
from projections.feed import Record

LEFT_OUT = (
    AccountEntry
    | AccountHold
    | CommandDecided
    | AccountOpened
    | AccountChanged
    | AccountFrozen
    | AccountUnfrozen
    | AccountClosed
)
"""Types of events that neither it nor what is folded beside it makes anything of."""
_LATER: Final = frozenset(get_args(PaymentStep))
_OUTCOMES: Final = frozenset({PaymentSettled, PaymentRefused})
"""What begins a payment, or becomes of a scheduled one."""


class Made(NamedTuple):
    """A payment that begins in the batch: what of it never changes."""

    created_position: int
    id: UUID
    mode: str
    carrier: str
    reference: str | None
    created_at: datetime
    metadata: Metadata
    expires_at: datetime | None
    execute_at: datetime | None
    refund_of: UUID | None
    payment_request: UUID | None


class State(NamedTuple):
    """Of a payment, what events change."""

    position: int
    """Of the last event of the command that changed it last: it follows from the payment's own."""
    state: str
    value_date: date
    postings: Sequence[Posting]
    """Amounts too: those of a scheduled payment may be found when it is executed."""
    captured: Sequence[int]
    """By posting, in minor units."""
    refunded: Sequence[int]
    refusal: dict[str, Any] | None = None
    expired: bool = False
    """Whether its hold ended by its deadline."""

    @property
    def accounts(self) -> set[str]:
        """Every account it names, once."""
        return accounts_of(self.postings)


@dataclass(slots=True)
class Folded:
    """What a batch changes."""

    made: list[Made] = field(default_factory=list)
    states: dict[UUID, State] = field(default_factory=dict)
    """As the batch leaves them, by payment: those made, and those made before it."""


def needed(records: Iterable[Record]) -> set[UUID]:
    """Payments whose state before the batch the fold may ask for."""
    return {
        event.originator_id
        for _, _, _, event in records
        if type(event) in _LATER or (type(event) in _OUTCOMES and event.originator_version > 1)
    }


def fold(records: Iterable[Record], known: Mapping[UUID, State]) -> Folded:
    """What the records, in order, make of the payments. Raises LookupError for a payment that
    was never made, TypeError for an event that this version doesn't know."""
    folded = Folded()
    states = folded.states
    for position, _, _, event in records:
        match event:
            case PaymentDecided():
                payment = event.originator_id
                if event.originator_version == 1:
                    folded.made.append(_made(event, position))
                elif payment not in states and payment not in known:
                    raise LookupError("an event is of a payment that was never made")
                states[payment] = _decided(event, position)
            case _ if isinstance(event, LEFT_OUT):
                pass
            case _ if isinstance(event, PaymentRequestEvent | CodeEvent):
                pass  # requests.py, codes.py
            case _ if isinstance(event, PaymentStep):
                payment = event.originator_id
                states[payment] = _stepped(states.get(payment) or known[payment], event, position)
            case _:
                raise TypeError(f"{event.TOPIC} is unknown to payments")
    return folded


def _made(event: PaymentDecided, position: int) -> Made:
    return Made(
        position,
        event.originator_id,
        event.mode,
        event.carrier,
        event.reference,
        event.timestamp,
        event.metadata,
        event.expires_at if isinstance(event, PaymentHeld | PaymentPending) else None,
        event.execute_at if isinstance(event, PaymentScheduled) else None,
        *(
            (event.refund_of, event.payment_request)
            if isinstance(event, PaymentSettled | PaymentRefused)
            else (None, None)
        ),
    )


def _decided(event: PaymentDecided, position: int) -> State:
    """Its entries or holds follow its own event, two a posting; the last event tells a refund's
    original, the payment request that it pays, or a code that it was used."""
    day = event.value_date or event.timestamp.date()
    nothing = (0,) * len(event.postings)
    match event:
        case PaymentSettled():
            last = position + account_events(event) + elsewhere(event)
            amounts = tuple([posting.amount_minor for posting in event.postings])
            return State(last, "settled", day, event.postings, amounts, nothing)
        case PaymentRefused():
            return State(position, "refused", day, event.postings, nothing, nothing, event.refusal)
        case PaymentHeld():
            last = position + account_events(event)
            return State(last, "held", day, event.postings, nothing, nothing)
        case PaymentPending():
            last = position + account_events(event) + elsewhere(event)
            return State(last, "pending_confirmation", day, event.postings, nothing, nothing)
        case PaymentScheduled():
            day = event.value_date or event.execute_at.date()
            return State(position, "scheduled", day, event.postings, nothing, nothing)
        case _:
            raise TypeError(f"{event.TOPIC} is unknown to payments")


def _stepped(before: State, event: PaymentStep, position: int) -> State:
    """A client's step is followed by what it does to accounts, and by its command's record."""
    match event:
        case PaymentCaptured():
            return before._replace(
                position=position + account_events(event) + 1,
                state="settled" if event.final else "held",
                captured=_sums(before.captured, event.amounts),
            )
        case PaymentVoided():
            return before._replace(
                position=position + account_events(event) + 1, state=_ended(before, "voided")
            )
        case PaymentExpired():
            return before._replace(
                position=position + account_events(event),
                state=_ended(before, "expired"),
                expired=True,
            )
        case PaymentRefunded():
            return before._replace(
                position=position, refunded=_sums(before.refunded, event.amounts)
            )
        case PaymentCanceled():
            return before._replace(position=position + account_events(event) + 1, state="canceled")
        case PaymentConfirmed():
            return before._replace(
                position=position + account_events(event) + 1,
                state="settled",
                captured=event.amounts,
            )
        case PaymentDeclined():
            return before._replace(position=position + account_events(event) + 1, state="declined")
        case _:
            assert_never(event)


def _ended(held: State, otherwise: str) -> str:
    """What a hold is once the rest of it is released."""
    return "settled" if any(held.captured) else otherwise


def _sums(before: Sequence[int], more: Sequence[int]) -> list[int]:
    return [one + another for one, another in zip(before, more, strict=True)]
