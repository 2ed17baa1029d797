"""Refunds: payments of their own that move back what was captured, never more."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.events import PaymentRefunded, PaymentRefused, PaymentSettled
from domain.refusals import AmountOfSeveralPostings
from tests.fixtures.fix_events import History


def a_town() -> History:
    town = History().open("cash", normal_side="debit").open("alice", "bob", overdraft_limit=0)
    town.pay(("cash", "alice", 100))
    return town


def refusal(town: History, refund: UUID) -> Any:
    """Of a refund, which is recorded as a payment of its own that moves nothing."""
    assert town.payments[refund].state == "refused"
    return town.events[-1].refusal


def test_a_refund_moves_back_all_and_is_told_on_the_stream_of_what_it_undoes() -> None:
    town = a_town()
    payment = town.pay(
        ("alice", "bob", 60), reference="order-17", carrier="qr", metadata={"a": "b"}
    )
    since = town.end
    made = town.payments[town.refund(payment)]
    settled, *entries, refunded = town.events[since:]
    assert isinstance(settled, PaymentSettled)
    assert settled.refund_of == made.refund_of == payment
    assert (settled.reference, settled.carrier, settled.metadata) == ("order-17", "api", {})
    assert [(event.account, event.posted) for event in entries] == [("bob", 0), ("alice", 100)]
    assert isinstance(refunded, PaymentRefunded)
    assert (refunded.originator_id, refunded.amounts, refunded.refund) == (payment, (60,), made.id)
    assert {event.command for event in town.events[since:]} == {made.id}
    assert town.payments[payment].refundable == (0,)


def test_refunds_repeat_until_nothing_is_left() -> None:
    town = a_town()
    payment = town.pay(("alice", "bob", 60))
    town.refund(payment, 25)
    assert town.payments[payment].refunded == (25,)
    too_much = town.refund(payment, 36)
    assert refusal(town, too_much) == {"code": "refund_exceeds_payment"}
    town.refund(payment)
    assert town.payments[payment].refunded == (60,)
    nothing_left = town.refund(payment)
    assert refusal(town, nothing_left) == {"code": "refund_exceeds_payment"}
    assert town.payments[nothing_left].postings[0].amount_minor == 60
    assert town.accounts["alice"].posted == 100


def test_several_postings_are_undone_from_the_last_to_the_first() -> None:
    """What came in by a later one may have gone out by an earlier."""
    town = a_town().open("till", overdraft_limit=0)
    payment = town.pay(("alice", "till", 60), ("till", "bob", 60))
    with pytest.raises(AmountOfSeveralPostings):
        town.refund(payment, 10)
    made = town.payments[town.refund(payment)]
    assert [one[:3] for one in made.postings] == [("bob", "till", 60), ("till", "alice", 60)]
    assert made.state == "settled"
    assert town.payments[payment].refunded == (60, 60)


def test_of_a_hold_what_was_captured_is_refundable_once_it_is_over() -> None:
    town = a_town()
    payment = town.hold(("alice", "bob", 60))
    town.capture(payment, 20, final=False)
    while_held = town.refund(payment, 5)
    assert refusal(town, while_held) == {"code": "payment_not_refundable"}
    town.capture(payment, 10)
    too_much = town.refund(payment, 31)
    assert refusal(town, too_much) == {"code": "refund_exceeds_payment"}
    town.refund(payment)
    assert town.payments[payment].refunded == (30,)


def test_of_a_hold_that_expired_in_part_it_is_refundable_before_a_sweep_and_after() -> None:
    town = a_town()
    payment = town.hold(("alice", "bob", 60), hold_timeout_s=10)
    town.capture(payment, 20, final=False).later(seconds=10).refund(payment, 5)
    town.expire(payment).refund(payment, 15)
    assert town.payments[payment].refunded == (20,)
    assert town.accounts["alice"].posted == 100


def test_what_moved_nothing_and_a_refund_itself_can_not_be_refunded() -> None:
    town = a_town()
    refund = town.refund(town.pay(("alice", "bob", 60)))
    expired = town.hold(("alice", "bob", 60), hold_timeout_s=10)
    voided = town.hold(("alice", "bob", 1))
    town.void(voided)
    scheduled = town.pay(("alice", "bob", 1), execute_at=town.now + timedelta(days=1))
    refused = town.pay(("alice", "bob", 1000))
    town.later(seconds=10)
    for payment in (refund, expired, voided, scheduled, refused):
        assert refusal(town, town.refund(payment)) == {"code": "payment_not_refundable"}


def test_a_refund_is_refused_where_the_receiver_lacks_the_funds_and_may_be_tried_again() -> None:
    town = a_town()
    payment = town.pay(("alice", "bob", 60))
    town.pay(("bob", "cash", 1))
    since = town.end
    refund = town.refund(payment)
    assert refusal(town, refund) == {"code": "insufficient_funds", "account": "bob", "index": 0}
    (refused,) = town.events[since:]
    assert isinstance(refused, PaymentRefused)
    assert refused.refund_of == payment
    assert town.payments[payment].refunded == (0,)
    town.pay(("cash", "bob", 1))
    assert town.payments[town.refund(payment)].state == "settled"


def test_a_frozen_account_refuses_a_refund() -> None:
    town = a_town()
    payment = town.pay(("alice", "bob", 60))
    refund = town.freeze("alice").refund(payment)
    assert refusal(town, refund) == {"code": "account_frozen", "account": "alice", "index": 0}
