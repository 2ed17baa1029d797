"""What always holds of the amounts of one payment, by its events in the store."""

from __future__ import annotations

from collections.abc import Iterable

from domain.events import (
    LedgerEvent,
    PaymentCaptured,
    PaymentExpired,
    PaymentHeld,
    PaymentRefunded,
    PaymentSettled,
    PaymentVoided,
)


def assert_amounts_add_up(events: Iterable[LedgerEvent], state: str) -> None:
    """What was captured and released is what was held, and no more was refunded than captured."""
    held = captured = released = refunded = 0
    for event in events:
        match event:
            case PaymentHeld(postings=postings):
                held = sum(posting.amount_minor for posting in postings)
            case PaymentSettled(postings=postings):
                captured = sum(posting.amount_minor for posting in postings)
            case PaymentCaptured(amounts=amounts):
                captured += sum(amounts)
                released += sum(event.released)
            case PaymentVoided() | PaymentExpired():
                released += sum(event.released)
            case PaymentRefunded(amounts=amounts):
                refunded += sum(amounts)
    assert refunded <= captured
    if held:
        assert captured + released <= held
        assert (captured + released == held) is (state != "held")
