"""What pay codes and devices allow: once, in time, within their caps; and what is told of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.code_decisions import CONFIRM_S
from domain.code_events import DeviceRegistered, PayCodeUsed
from domain.confirmation_events import PaymentPending
from domain.device import STEP_S, step_at
from domain.events import (
    AccountCredited,
    AccountDebited,
    AccountHeld,
    PaymentRefused,
    PaymentSettled,
)
from domain.payment import Payment
from domain.refusals import AccountFrozen, DeviceRevoked, NothingDue, PaymentNotPending
from tests.fixtures.fix_codes import CodeHistory

TICK = timedelta(microseconds=1)


def a_town() -> CodeHistory:
    town = CodeHistory()
    town.open("cash").open("a", "b", overdraft_limit=0)
    town.pay(("cash", "a", 1000))
    return town


def payment_of(town: CodeHistory, payment: UUID) -> Payment:
    return town.payments[payment]


def refusal(town: CodeHistory) -> dict[str, Any] | None:
    last = town.events[-1]
    return last.refusal if isinstance(last, PaymentRefused) else None


def test_a_payment_by_code_is_a_payment_and_tells_its_code_last() -> None:
    town = a_town()
    code = town.issue("a")
    at = town.end
    payment = town.pay_by(code, "b", 100, carrier="qr")
    told = town.events[at:]
    assert [type(event) for event in told] == [
        PaymentSettled,
        AccountDebited,
        AccountCredited,
        PayCodeUsed,
    ]
    assert {event.command for event in told} == {payment}
    assert told[0].paid_by == told[-1].originator_id == code
    assert (told[-1].payment, told[-1].amount_minor, told[-1].step) == (payment, 100, None)
    assert (town.accounts["a"].posted, town.accounts["b"].posted) == (900, 100)
    assert (town.codes[code].state, town.codes[code].payment) == ("used", payment)
    assert not town.codes[code].waits
    assert town.codes[code].concerned == {"a"}


def test_a_code_is_used_once_whatever_becomes_of_its_payment() -> None:
    town = a_town()
    code = town.issue("a", confirm_above_minor=0)
    town.decline(town.pay_by(code, "b", 100))
    town.pay_by(code, "b", 100)
    assert refusal(town) == {"code": "pay_code_invalid"}
    assert town.accounts["b"].posted == 0


def test_a_refused_payment_leaves_the_code_live() -> None:
    town = a_town()
    code = town.issue("a", 5000)
    town.pay_by(code, "b", 1001)
    assert refusal(town) == {"code": "insufficient_funds", "account": "a", "index": 0}
    assert town.events[-1].paid_by == code
    town.pay_by(code, "nobody", 1)
    town.pay_by(code, "b", 1000)
    assert refusal(town) is None


@pytest.mark.parametrize("early", [1, 0, -1])
def test_a_code_is_over_from_its_deadline_on_to_the_microsecond(early: int) -> None:
    town = a_town()
    code = town.issue("a", expires_in_s=60)
    town.now += timedelta(seconds=60) - early * TICK
    assert town.codes[code].state_at(town.now) == ("live" if early > 0 else "expired")
    town.pay_by(code, "b", 1)
    assert refusal(town) == (None if early > 0 else {"code": "pay_code_invalid"})


def test_that_a_code_is_over_is_recorded_once_and_only_when_it_is_so() -> None:
    town = a_town()
    code, used = town.issue("a", expires_in_s=60), town.issue("a", expires_in_s=60)
    town.pay_by(used, "b", 1)
    with pytest.raises(NothingDue):
        town.expire_code(code)
    town.later(seconds=60).expire_code(code)
    assert town.codes[code].state == "expired"
    for over in (code, used):
        with pytest.raises(NothingDue):
            town.expire_code(over)


def test_what_fails_is_told_alike() -> None:
    town = a_town()
    used, over = town.issue("a"), town.issue("a", expires_in_s=10)
    town.pay_by(used, "b", 1)
    town.later(seconds=10)
    device = town.register("a")
    revoked = town.register("a")
    town.revoke(revoked)
    ways: list[Callable[[], UUID]] = [
        lambda: town.pay_by(None, "b", 1),
        lambda: town.pay_by(used, "b", 1),
        lambda: town.pay_by(over, "b", 1),
        lambda: town.pay_by(device, "b", 1, step=None),
        lambda: town.pay_offline(device, "b", 1, skew=2),
        lambda: town.pay_offline(revoked, "b", 1),
    ]
    told = set()
    for way in ways:
        payment = payment_of(town, way())
        event = town.events[-1]
        assert isinstance(event, PaymentRefused)
        alike = replace(
            event, originator_id=UUID(int=0), command=UUID(int=0), metadata={}, refusal={}
        )
        told.add(repr(alike))
        assert (event.refusal, event.paid_by) == ({"code": "pay_code_invalid"}, None)
        assert payment.postings[0].debit == ""
        assert payment.accounts == {"b"}
    assert len(told) == 1


# What is refused first, where all of these would apply, as in test_payments.py: the code comes
# before the accounts. Each row breaks its own rule and all later ones.
PRECEDENCE = [
    ("pay_code_invalid", "over", "frozen", 600, "USD"),
    ("currency_mismatch", "live", "frozen", 600, "USD"),
    ("pay_code_exceeded", "live", "frozen", 501, "EUR"),
    ("same_account", "live", "a", 500, "EUR"),
    ("account_unknown", "live", "nobody", 500, "EUR"),
    ("account_frozen", "live", "frozen", 500, "EUR"),
    ("insufficient_funds", "live", "b", 500, "EUR"),
]


@pytest.mark.parametrize(("code", "state", "credit", "amount", "currency"), PRECEDENCE)
def test_the_code_comes_before_the_accounts(
    code: str, state: str, credit: str, amount: int, currency: str
) -> None:
    town = a_town()
    town.pay(("a", "cash", 999))
    town.open("frozen").freeze("frozen")
    codes = {"over": town.issue("a", expires_in_s=1)}
    town.later(seconds=1)
    codes["live"] = town.issue("a", 500)
    town.pay_by(codes[state], credit, amount, currency=currency)
    told = refusal(town)
    assert told is not None
    assert told["code"] == code


def test_what_is_above_confirm_above_waits_for_the_payer_with_the_money_held() -> None:
    town = a_town()
    at_most, above = (town.issue("a", confirm_above_minor=100) for _ in range(2))
    assert payment_of(town, town.pay_by(at_most, "b", 100)).state == "settled"
    at = town.end
    payment = payment_of(town, town.pay_by(above, "b", 101))
    assert [type(event) for event in town.events[at:]] == [
        PaymentPending,
        AccountHeld,
        AccountHeld,
        PayCodeUsed,
    ]
    assert (payment.state, payment.captured, payment.waits) == ("pending_confirmation", (0,), True)
    assert payment.confirm_expires_at == town.now + timedelta(seconds=CONFIRM_S)
    assert payment.hold_expires_at is None
    alice = town.accounts["a"]
    assert (alice.posted, alice.pending_debit) == (900, 101)


@pytest.mark.parametrize("step", ["confirm", "decline", "cancel"])
def test_the_first_answer_stands(step: str) -> None:
    town = a_town()
    pending = town.pending("a", "b", 100)
    getattr(town, step)(pending)
    payment = payment_of(town, pending)
    ends = {"confirm": "settled", "decline": "declined", "cancel": "canceled"}
    assert payment.state == ends[step]
    alice, bob = town.accounts["a"], town.accounts["b"]
    moved = 100 if step == "confirm" else 0
    assert (alice.posted, bob.posted) == (1000 - moved, moved)
    assert not any((*alice.pending_at(town.now), *bob.pending_at(town.now)))
    assert (alice.holds, bob.holds) == ((), ())
    for other in ends:
        with pytest.raises(PaymentNotPending):
            getattr(town, other)(pending)


@pytest.mark.parametrize("early", [1, 0, -1])
@pytest.mark.parametrize("step", ["confirm", "decline", "cancel"])
def test_an_answer_at_the_deadline_or_later_is_none(step: str, early: int) -> None:
    town = a_town()
    pending = town.pending("a", "b", 100)
    town.now += timedelta(seconds=CONFIRM_S) - early * TICK
    if early > 0:
        getattr(town, step)(pending)
        return
    with pytest.raises(PaymentNotPending):
        getattr(town, step)(pending)
    assert payment_of(town, pending).state_at(town.now) == "expired"
    assert not any(town.accounts["a"].pending_at(town.now))
    town.expire(pending)
    assert payment_of(town, pending).state == "expired"


def test_while_an_account_is_frozen_a_confirmation_is_refused_and_the_other_ways_go() -> None:
    town = a_town()
    waiting = [town.pending("a", "b", 100) for _ in range(3)]
    town.freeze("b")
    for pending in waiting:
        with pytest.raises(AccountFrozen):
            town.confirm(pending)
        assert payment_of(town, pending).state == "pending_confirmation"
    town.decline(waiting[0]).cancel(waiting[1])
    town.unfreeze("b").confirm(waiting[2])
    assert payment_of(town, waiting[2]).state == "settled"


def test_a_confirmed_payment_is_refundable_and_one_that_waits_is_not() -> None:
    town = a_town()
    pending = town.pending("a", "b", 100)
    town.refund(pending)
    assert refusal(town) == {"code": "payment_not_refundable"}
    town.confirm(pending).refund(pending, 40)
    assert payment_of(town, pending).refunded == (40,)


# Devices ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("skew", "works"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)]
)
def test_a_device_may_be_a_step_off(skew: int, works: bool) -> None:
    town = a_town()
    device = town.register("a")
    payment = payment_of(town, town.pay_offline(device, "b", 10, skew))
    assert payment.state == ("settled" if works else "refused")
    assert town.devices[device].offline_spent_minor == (10 if works else 0)
    assert town.devices[device].concerned == {"a"}
    assert town.devices[device].waits


def test_a_step_is_spent_once_also_after_the_device_was_online() -> None:
    town = a_town()
    device = town.register("a")
    step = step_at(town.now)
    town.pay_by(device, "b", 10, step=step)
    for _ in range(2):
        town.pay_by(device, "b", 10, step=step)
        assert refusal(town) == {"code": "pay_code_invalid"}
        town.online(device)
    town.later(seconds=STEP_S).pay_by(device, "b", 10, step=step)
    assert refusal(town) == {"code": "pay_code_invalid"}


def test_steps_that_can_no_more_be_shown_are_forgotten() -> None:
    town = a_town()
    device = town.register("a", 1, 100)
    for _ in range(10):
        town.pay_offline(device, "b", 1)
        town.later(seconds=STEP_S)
    assert len(town.devices[device].spent) == 2


def test_a_refused_payment_leaves_the_step() -> None:
    town = a_town()
    device = town.register("a")
    town.pay_offline(device, "nobody", 10)
    assert refusal(town) == {"code": "account_unknown", "account": "nobody", "index": 0}
    town.pay_offline(device, "b", 10)
    assert refusal(town) is None


def test_both_caps_hold_to_the_cent() -> None:
    town = a_town()
    device = town.register("a", per_payment_max=100, offline_total_max=250)

    def pay(amount: int) -> str:
        town.later(seconds=STEP_S)
        town.pay_offline(device, "b", amount)
        told = refusal(town)
        return told["code"] if told else "settled"

    exceeded = "pay_code_exceeded"
    assert [pay(each) for each in (101, 100, 100, 51, 50, 1)] == [
        exceeded,
        "settled",
        "settled",
        exceeded,
        "settled",
        exceeded,
    ]
    town.online(device)
    assert town.events[-2].offline_spent_minor == 250
    assert pay(100) == "settled"


def test_a_device_in_another_currency() -> None:
    town = a_town()
    device = town.register("a")
    town.pay_by(device, "b", 10, step=step_at(town.now), currency="USD")
    assert refusal(town) == {"code": "currency_mismatch", "account": "a", "index": 0}


def test_a_revoked_device_stays_so() -> None:
    town = a_town()
    device = town.register("a")
    town.revoke(device)
    at = town.end
    town.revoke(device)
    assert town.end == at + 1  # the command's record alone
    assert not town.devices[device].waits
    with pytest.raises(DeviceRevoked):
        town.online(device)


def test_a_use_without_a_step_is_none_of_a_device() -> None:
    town = a_town()
    device = town.devices[town.register("a")]
    registered = next(event for event in town.events if isinstance(event, DeviceRegistered))
    used = PayCodeUsed(
        originator_id=device.id,
        originator_version=2,
        timestamp=town.now,
        command=registered.command,
        actor=registered.actor,
        payment=UUID(int=1),
        amount_minor=1,
    )
    with pytest.raises(AssertionError):
        device.evolve(used)
