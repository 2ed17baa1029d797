"""The table of a payment's states is the code: every state and step is walked through decisions."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, get_args
from uuid import UUID

import pytest

from domain.code_decisions import CONFIRM_S
from domain.payment import Payment
from domain.refusals import (
    REFUSED,
    HoldExpired,
    NothingDue,
    PaymentNotPending,
    Refused,
)
from domain.transitions import REFUSALS, TRANSITIONS, State, Step
from tests.fixtures.fix_codes import CodeHistory as History
from tests.fixtures.fix_events import START

DEADLINE: Final = START + timedelta(seconds=100)
"""Of every hold, and the time of every scheduled payment."""

Way = Callable[[History], UUID]


def settled(history: History) -> UUID:
    return history.pay(("a", "b", 10))


def refused(history: History) -> UUID:
    return history.pay(("a", "b", 10**9))


def held(history: History) -> UUID:
    return history.hold(("a", "b", 10), hold_timeout_s=100)


def scheduled(history: History) -> UUID:
    return history.pay(("a", "b", 10), execute_at=DEADLINE)


def pending(history: History) -> UUID:
    # So that its deadline is that of the others.
    history.now = DEADLINE - timedelta(seconds=CONFIRM_S)
    return history.pending("a", "b", 10)


def confirmed(history: History) -> UUID:
    payment = pending(history)
    history.confirm(payment)
    return payment


def declined(history: History) -> UUID:
    payment = pending(history)
    history.decline(payment)
    return payment


def canceled_by_the_cashier(history: History) -> UUID:
    payment = pending(history)
    history.cancel(payment)
    return payment


def never_confirmed(history: History) -> UUID:
    payment = pending(history)
    history.now = DEADLINE
    history.expire(payment)
    return payment


def held_beyond_funds(history: History) -> UUID:
    return history.hold(("a", "b", 10**9))


def scheduled_with_nobody(history: History) -> UUID:
    return history.pay(("a", "nobody", 10), execute_at=DEADLINE)


def scheduled_beyond_funds(history: History) -> UUID:
    return history.pay(("a", "b", 10**9), execute_at=DEADLINE)


def captured_in_part(history: History) -> UUID:
    payment = held(history)
    history.capture(payment, 4, final=False)
    return payment


def captured(history: History) -> UUID:
    payment = held(history)
    history.capture(payment)
    return payment


def captured_in_part_for_the_last_time(history: History) -> UUID:
    payment = held(history)
    history.capture(payment, 4)
    return payment


def voided(history: History) -> UUID:
    payment = held(history)
    history.void(payment)
    return payment


def voided_after_a_capture(history: History) -> UUID:
    payment = captured_in_part(history)
    history.void(payment)
    return payment


def expired(history: History) -> UUID:
    payment = held(history)
    history.now = DEADLINE
    history.expire(payment)
    return payment


def expired_after_a_capture(history: History) -> UUID:
    payment = captured_in_part(history)
    history.now = DEADLINE
    history.expire(payment)
    return payment


def canceled(history: History) -> UUID:
    payment = scheduled(history)
    history.cancel(payment)
    return payment


def executed(history: History) -> UUID:
    payment = scheduled(history)
    history.now = DEADLINE
    history.execute(payment)
    return payment


def refused_at_its_time(history: History) -> UUID:
    payment = scheduled_beyond_funds(history)
    history.now = DEADLINE
    history.execute(payment)
    return payment


NEW: Final[dict[Step, tuple[Way, ...]]] = {
    "settle": (settled, refused, pending),
    "hold": (held, held_beyond_funds),
    "schedule": (scheduled, scheduled_with_nobody),
}
WAYS: Final[tuple[Way, ...]] = (
    settled,
    refused,
    held,
    scheduled,
    scheduled_beyond_funds,
    captured_in_part,
    captured,
    captured_in_part_for_the_last_time,
    voided,
    voided_after_a_capture,
    expired,
    expired_after_a_capture,
    canceled,
    executed,
    refused_at_its_time,
    pending,
    confirmed,
    declined,
    canceled_by_the_cashier,
    never_confirmed,
)
STEPS: Final[dict[Step, tuple[Callable[[History, UUID], object], ...]]] = {
    "capture": (
        lambda history, payment: history.capture(payment),
        lambda history, payment: history.capture(payment, 1),
        lambda history, payment: history.capture(payment, 1, final=False),
    ),
    "void": (lambda history, payment: history.void(payment),),
    "expire": (lambda history, payment: history.expire(payment),),
    "execute": (lambda history, payment: history.execute(payment),),
    "cancel": (lambda history, payment: history.cancel(payment),),
    "confirm": (lambda history, payment: history.confirm(payment),),
    "decline": (lambda history, payment: history.decline(payment),),
    "refund": (
        lambda history, payment: refund(history, payment, None),
        lambda history, payment: refund(history, payment, 1),
    ),
}
OWN: Final = {"expire", "execute"}
"""Steps that the ledger takes by itself, where their time has come."""


def refund(history: History, payment: UUID, amount: int | None) -> None:
    """A refused refund is a payment of its own: raised here as other steps do."""
    made = history.payments[history.refund(payment, amount)]
    if made.state == "refused":
        raise REFUSED[history.events[-1].refusal["code"]]


def a_history() -> History:
    return History().open("a").open("b", overdraft_limit=0).change("a", overdraft_limit=10**6)


def expected_refusal(payment: Payment, step: Step, now: datetime) -> type[Exception]:
    if step in OWN:
        return NothingDue
    if payment.mode != "hold":
        was_to_be_confirmed = step == "cancel" and payment.expires_at is not None
        return PaymentNotPending if was_to_be_confirmed else REFUSALS[step]
    deadline = payment.expires_at is not None and now >= payment.expires_at
    open_till_then = payment.expired or payment.state == "held"
    ended = deadline and open_till_then
    return HoldExpired if step in ("capture", "void") and ended else REFUSALS[step]


def test_every_state_and_step_comes_to_what_the_table_says() -> None:
    reached: dict[tuple[State | None, Step], set[State]] = defaultdict(set)
    for step, ways in NEW.items():
        for way in ways:
            history = a_history()
            reached[None, step].add(history.payments[way(history)].state)
    moments = (START, DEADLINE - timedelta(microseconds=1), DEADLINE, DEADLINE + timedelta(days=1))
    walked = 0
    for way, moment, (step, forms) in itertools.product(WAYS, moments, STEPS.items()):
        for take in forms:
            history = a_history()
            payment = history.payments[way(history)]
            history.now = max(history.now, moment)
            # The ledger's own steps record what has come to pass; others see that it has.
            state = payment.state if step in OWN else payment.state_at(history.now)
            in_time = payment.is_due(history.now) == (step in OWN) if payment.waits else True
            walked += 1
            if (state, step) in TRANSITIONS and (in_time or step == "refund"):
                take(history, payment.id)
                reached[state, step].add(payment.state_at(history.now))
            else:
                before = vars(payment).copy()
                with pytest.raises(expected_refusal(payment, step, history.now)):
                    take(history, payment.id)
                assert vars(payment) == before
    assert reached == TRANSITIONS
    assert walked == len(WAYS) * len(moments) * sum(map(len, STEPS.values()))


def test_the_walk_begins_in_every_state_and_takes_every_step() -> None:
    states = {a.payments[way(a)].state for way in WAYS for a in [a_history()]}
    assert states == set(get_args(State))
    assert NEW.keys() | STEPS.keys() == set(get_args(Step))


def test_every_step_of_a_client_has_a_refusal() -> None:
    assert REFUSALS.keys() == STEPS.keys() - OWN
    assert all(issubclass(refusal, Refused) for refusal in REFUSALS.values())


def test_a_payment_there_is_is_never_made_anew_and_one_there_is_not_takes_no_step() -> None:
    assert {step for state, step in TRANSITIONS if state is None} == NEW.keys()
    assert not {step for state, step in TRANSITIONS if state is not None} & NEW.keys()
