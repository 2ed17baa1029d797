"""What always holds of the amounts of one payment, by its events in the store."""

from __future__ import annotations

from collections.abc import Iterable

from domain.confirmation_events import PaymentConfirmed, PaymentDeclined, PaymentPending
from domain.events import (
    LedgerEvent,
    PaymentCanceled,
    PaymentCaptured,
    PaymentExpired,
    PaymentHeld,
    PaymentRefunded,
    PaymentSettled,
    PaymentVoided,
)
from tests.property.velocity import HELD


def assert_amounts_add_up(events: Iterable[LedgerEvent], state: str) -> None:
    """What was captured and released is what was held, and no more was refunded than captured."""
    held = captured = released = refunded = 0
    for event in events:
        match event:
            case PaymentHeld(postings=postings) | PaymentPending(postings=postings):
                held = sum(posting.amount_minor for posting in postings)
            case PaymentSettled(postings=postings):
                captured = sum(posting.amount_minor for posting in postings)
            case PaymentCaptured(amounts=amounts):
                captured += sum(amounts)
                released += sum(event.released)
            case PaymentConfirmed(amounts=amounts):
                captured = sum(amounts)
            case PaymentVoided() | PaymentExpired() | PaymentDeclined() | PaymentCanceled():
                released += sum(event.released or ())
            case PaymentRefunded(amounts=amounts):
                refunded += sum(amounts)
    assert refunded <= captured
    if held:
        assert captured + released <= held
        assert (captured + released == held) is (state not in HELD)
