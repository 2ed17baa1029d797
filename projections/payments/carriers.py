"""From events to what was booked by carrier and day: pure functions over records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import NamedTuple
from uuid import UUID

from domain.confirmation_events import PaymentConfirmed, PaymentPending
from domain.events import PaymentCaptured, PaymentHeld, PaymentSettled
from domain.payment import account_events, elsewhere
from projections.feed import Record


class Booked(NamedTuple):
    """What a payment books at once in one currency."""

    position: int
    """Of the last event of its command."""
    partition: int
    booking_date: date
    carrier: str
    currency: str
    payments: int
    """1 where it is the first of that payment in the currency, else 0."""
    amount_minor: int


class Held(NamedTuple):
    """Of a payment that books what it holds."""

    carrier: str
    currencies: Sequence[str]
    """By posting."""
    captured: Sequence[int]
    """By posting, so far, in minor units."""


def held_before(records: Iterable[Record]) -> set[UUID]:
    """Payments whose carrier and captures before the batch the fold may ask for."""
    return {
        event.originator_id
        for _, _, _, event in records
        if isinstance(event, PaymentCaptured | PaymentConfirmed)
    }


def booked(records: Iterable[Record], known: Mapping[UUID, Held]) -> Iterator[Booked]:
    """What the records book, in order. Raises LookupError for a payment that was never held."""
    held = dict(known)
    for record in records:
        event = record.event
        match event:
            case PaymentHeld() | PaymentPending():
                currencies = [posting.currency for posting in event.postings]
                held[event.originator_id] = Held(event.carrier, currencies, [0] * len(currencies))
            case PaymentSettled():
                currencies = [posting.currency for posting in event.postings]
                amounts = [posting.amount_minor for posting in event.postings]
                last = record.position + account_events(event) + elsewhere(event)
                nothing = Held(event.carrier, currencies, [0] * len(currencies))
                yield from _of(record, last, nothing, amounts)
            case PaymentCaptured() | PaymentConfirmed():
                before = held[event.originator_id]
                last = record.position + account_events(event) + 1
                yield from _of(record, last, before, event.amounts)
                captured = [
                    one + more for one, more in zip(before.captured, event.amounts, strict=True)
                ]
                held[event.originator_id] = before._replace(captured=captured)
            case _:
                pass


def _of(record: Record, last: int, held: Held, amounts: Sequence[int]) -> Iterator[Booked]:
    sums: dict[str, int] = {}
    for currency, amount in zip(held.currencies, amounts, strict=True):
        if amount:
            sums[currency] = sums.get(currency, 0) + amount
    counted = {
        currency
        for currency, captured in zip(held.currencies, held.captured, strict=True)
        if captured
    }
    day = record.event.timestamp.date()
    for currency, amount in sums.items():
        first = int(currency not in counted)
        yield Booked(last, record.partition, day, held.carrier, currency, first, amount)
