"""Payments that wait for their time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.checks import DATE_RANGE
from domain.events import Condition, PaymentScheduled, PaymentSettled
from domain.ids import due_command
from domain.refusals import ExecuteAtOutOfRange, NothingDue, PaymentNotCancelable
from tests.fixtures.fix_events import START, History

MICROSECOND = timedelta(microseconds=1)
TIME = START + timedelta(days=2)


def a_town() -> History:
    town = History().open("cash", normal_side="debit").open("alice", "bob", overdraft_limit=0)
    town.pay(("cash", "alice", 100))
    return town


def schedule(town: History, amount: int = 60, **terms: Any) -> UUID:
    return town.pay(("alice", "bob", amount), execute_at=TIME, **terms)


def test_a_scheduled_payment_moves_nothing_until_its_time() -> None:
    town = a_town()
    payment = schedule(town, reference="rent")
    assert isinstance(town.events[-1], PaymentScheduled)
    assert town.payments[payment].state == "scheduled"
    assert town.payments[payment].execute_at == TIME
    assert town.payments[payment].booked_on == TIME.date()
    town.now = TIME - MICROSECOND
    with pytest.raises(NothingDue):
        town.execute(payment)
    town.now = TIME
    since = town.end
    town.execute(payment)
    settled, debited, credited = town.events[since:]
    assert isinstance(settled, PaymentSettled)
    assert (settled.originator_version, settled.fingerprint) == (2, b"")
    assert {event.command for event in town.events[since:]} == {due_command(payment, "execute")}
    assert (debited.value_date, credited.reference) == (TIME.date(), "rent")
    assert (debited.from_hold, debited.posted, credited.posted) == (False, 40, 60)
    with pytest.raises(NothingDue):
        town.execute(payment)


@pytest.mark.parametrize("at", [START, START - MICROSECOND, START + DATE_RANGE + MICROSECOND])
def test_a_time_that_has_passed_or_is_too_far_is_refused_and_not_recorded(at: Any) -> None:
    town = a_town()
    since = town.end
    with pytest.raises(ExecuteAtOutOfRange):
        town.pay(("alice", "bob", 1), execute_at=at)
    assert town.end == since


@pytest.mark.parametrize("at", [START + MICROSECOND, START + DATE_RANGE])
def test_the_next_microsecond_will_do_and_so_will_a_year(at: Any) -> None:
    town = a_town()
    assert town.payments[town.pay(("alice", "bob", 1), execute_at=at)].state == "scheduled"


def test_it_is_refused_at_its_time_for_what_is_so_then() -> None:
    town = a_town()
    payment = schedule(town)
    town.pay(("alice", "cash", 41))
    town.now = TIME
    since = town.end
    town.execute(payment)
    (refused,) = town.events[since:]
    assert refused.refusal == {"code": "insufficient_funds", "account": "alice", "index": 0}
    assert town.payments[payment].state == "refused"
    assert not town.payments[payment].waits


def test_conditions_are_decided_at_its_time() -> None:
    town = a_town()
    condition = Condition("bob", "posted", "gte", "5")
    refused, settled = (schedule(town, 5, conditions=(condition,)) for _ in range(2))
    town.now = TIME
    town.execute(refused).pay(("cash", "bob", 5))
    town.execute(settled)
    assert town.payments[refused].state == "refused"
    assert town.payments[settled].state == "settled"


def test_accounts_of_conditions_concern_it_until_its_time() -> None:
    town = a_town().open("third")
    payment = schedule(town, conditions=(Condition("third", "posted", "eq", "0"),))
    assert town.payments[payment].concerned == {"alice", "bob", "third"}
    town.now = TIME
    assert town.execute(payment).payments[payment].concerned == {"alice", "bob"}


@pytest.mark.parametrize(
    ("postings", "code"),
    [
        ([("alice", "alice", 1)], "same_account"),
        ([("alice", "nobody", 1)], "account_unknown"),
        ([("alice", "gone", 1)], "account_closed"),
        ([("alice", "dollars", 1)], "currency_mismatch"),
        ([("frozen", "alice", 1)], "currency_mismatch"),
    ],
)
def test_what_can_never_be_is_refused_at_once(postings: Any, code: str) -> None:
    town = a_town().open("gone").close("gone").open("dollars", "frozen", currency="USD")
    payment = town.freeze("frozen").pay(*postings, execute_at=TIME)
    assert town.payments[payment].state == "refused"
    assert town.events[-1].refusal["code"] == code


def test_a_frozen_account_may_be_unfrozen_until_then() -> None:
    town = a_town().freeze("bob")
    in_time, too_late = schedule(town), schedule(town, 1)
    town.now = TIME
    town.execute(too_late).unfreeze("bob").execute(in_time)
    assert town.payments[too_late].state == "refused"
    assert town.payments[in_time].state == "settled"


def test_amounts_are_found_at_its_time() -> None:
    town = a_town()
    payment = schedule(town, 0, up_to=(10**6,))
    assert town.payments[payment].postings[0].amount_minor == 0
    town.pay(("cash", "alice", 11))
    town.now = TIME
    town.execute(payment)
    assert town.payments[payment].captured == (111,)
    assert town.accounts["alice"].posted == 0


def test_until_its_time_it_can_be_canceled() -> None:
    town = a_town()
    payment, due = schedule(town), schedule(town)
    town.now = TIME - MICROSECOND
    town.cancel(payment)
    assert town.payments[payment].state == "canceled"
    with pytest.raises(PaymentNotCancelable):
        town.cancel(payment)
    town.now = TIME
    with pytest.raises(NothingDue):
        town.execute(payment)
    with pytest.raises(PaymentNotCancelable):
        town.cancel(due)


def test_what_was_executed_can_be_refunded() -> None:
    town = a_town()
    payment = schedule(town)
    town.now = TIME
    town.execute(payment).refund(payment, 20)
    assert town.payments[payment].refundable == (40,)
