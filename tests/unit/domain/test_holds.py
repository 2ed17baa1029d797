"""Money that is reserved: captured, released, or free again at its deadline."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.events import (
    AccountCredited,
    AccountDebited,
    AccountHeld,
    AccountReleased,
    PaymentCaptured,
    PaymentExpired,
    PaymentHeld,
    PaymentVoided,
)
from domain.holds import Hold, expired_at, left_of, open_at, with_left
from domain.refusals import (
    AccountFrozen,
    AccountNotEmpty,
    AmountOfSeveralPostings,
    CaptureExceedsHold,
    HoldExpired,
    NothingDue,
    PaymentNotHeld,
)
from tests.fixtures.fix_events import ACTOR, START, History
from tests.unit.domain.given import COMMAND

MICROSECOND = timedelta(microseconds=1)
TIMEOUT_S = 100
DEADLINE = START + timedelta(seconds=TIMEOUT_S)


def a_town() -> History:
    """Alice has 100, bob nothing, neither an overdraft."""
    town = History().open("cash", normal_side="debit").open("alice", "bob", overdraft_limit=0)
    town.pay(("cash", "alice", 100))
    return town


def hold(town: History, amount: int, **terms: Any) -> UUID:
    return town.hold(("alice", "bob", amount), hold_timeout_s=TIMEOUT_S, **terms)


def balances(town: History, name: str) -> tuple[int, int, int, int | None]:
    """Posted, pending debit, pending credit and available, at the town's time."""
    account = town.accounts[name]
    pending = account.pending_at(town.now)
    return account.posted, *pending, account.available(account.posted, pending)


def told(town: History, since: int) -> list[type]:
    """What a client's step recorded, but for the record of the command itself."""
    return [type(event) for event in town.events[since:-1]]


def test_a_hold_reserves_on_both_sides_and_lowers_what_is_available_at_once() -> None:
    town = a_town()
    since = town.end
    payment = hold(town, 60)
    assert [type(event) for event in town.events[since:]] == [PaymentHeld, AccountHeld, AccountHeld]
    assert [event.side for event in town.events[since + 1 :]] == ["debit", "credit"]
    assert town.payments[payment].state == "held"
    assert town.payments[payment].expires_at == DEADLINE
    assert balances(town, "alice") == (100, 60, 0, 40)
    assert balances(town, "bob") == (0, 0, 60, 0)
    assert [event.available for event in town.events[since + 1 :]] == [40, 0]


def test_what_is_held_can_not_be_spent_nor_what_is_to_come() -> None:
    town = a_town()
    hold(town, 60)
    assert town.payments[town.pay(("alice", "bob", 41))].state == "refused"
    assert town.payments[hold(town, 41)].state == "refused"
    assert town.payments[town.pay(("bob", "cash", 1))].state == "refused"
    assert town.payments[town.pay(("alice", "bob", 40))].state == "settled"


def test_what_is_to_come_counts_towards_a_maximum_balance() -> None:
    town = a_town().change("bob", max_balance=100)
    hold(town, 60)
    town.pay(("cash", "bob", 41))
    refusal = town.events[-1].refusal
    assert refusal == {"code": "max_balance_exceeded", "account": "bob", "index": 0}
    assert town.payments[town.pay(("cash", "bob", 40))].state == "settled"


def test_a_capture_books_all_that_is_held() -> None:
    town = a_town()
    payment = hold(town, 60)
    since = town.end
    town.capture(payment)
    assert told(town, since) == [PaymentCaptured, AccountDebited, AccountCredited]
    captured, debited, credited = town.events[since:-1]
    assert (captured.amounts, captured.released, captured.final) == ((60,), (0,), True)
    for entry in (debited, credited):
        assert (entry.from_hold, entry.hold_left, entry.hold_expires_at) == (True, 0, DEADLINE)
    assert balances(town, "alice") == (40, 0, 0, 40)
    assert balances(town, "bob") == (60, 0, 0, 60)
    assert town.accounts["alice"].holds == town.accounts["bob"].holds == ()
    assert town.payments[payment].state == "settled"


def test_the_last_capture_releases_the_rest() -> None:
    town = a_town()
    payment = hold(town, 60)
    since = town.end
    town.capture(payment, 25)
    entries = [PaymentCaptured, AccountDebited, AccountCredited]
    assert told(town, since) == [*entries, AccountReleased, AccountReleased]
    assert {event.reason for event in town.events[-3:-1]} == {"captured"}
    assert balances(town, "alice") == (75, 0, 0, 75)
    assert balances(town, "bob") == (25, 0, 0, 25)
    assert town.payments[payment].captured == (25,)


def test_captures_repeat_until_the_whole_is_captured() -> None:
    town = a_town()
    payment = hold(town, 60)
    town.capture(payment, 25, final=False)
    assert town.payments[payment].state == "held"
    assert balances(town, "alice") == (75, 35, 0, 40)
    assert town.events[-2].hold_left == 35
    town.capture(payment, 35, final=False)
    assert town.payments[payment].state == "settled"  # what adds up to the whole settles
    assert town.events[-4].final is True
    with pytest.raises(PaymentNotHeld):
        town.capture(payment, 1)


def test_without_a_value_date_an_entry_has_the_day_of_its_capture_and_the_payment_its_own() -> None:
    town = a_town()
    payment = town.hold(("alice", "bob", 60))
    for days in (1, 2):
        town.later(days=1).capture(payment, 30, final=False)
        entry = town.events[-2]
        assert entry.value_date == START.date() + timedelta(days=days)
    assert town.payments[payment].booked_on == START.date()


def test_no_more_is_captured_than_is_left() -> None:
    town = a_town()
    payment = hold(town, 60)
    town.capture(payment, 25, final=False)
    with pytest.raises(CaptureExceedsHold):
        town.capture(payment, 36)
    assert town.payments[payment].left == (35,)
    town.capture(payment)
    assert balances(town, "bob") == (60, 0, 0, 60)


def test_an_amount_is_for_payments_of_one_posting() -> None:
    town = a_town()
    payment = town.hold(("alice", "bob", 6), ("alice", "cash", 4))
    with pytest.raises(AmountOfSeveralPostings):
        town.capture(payment, 5)
    town.capture(payment)
    assert town.payments[payment].captured == (6, 4)
    assert balances(town, "alice") == (90, 0, 0, 90)


def test_a_capture_needs_no_room_below_limits_set_since() -> None:
    town = a_town()
    payment = hold(town, 60)
    town.change("alice", overdraft_limit=0).change("bob", max_balance=1)
    town.capture(payment)
    assert balances(town, "bob")[0] == 60


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_a_frozen_account_refuses_a_capture_but_not_a_void_nor_the_expiry(name: str) -> None:
    town = a_town()
    payment, other = hold(town, 60), hold(town, 10)
    town.freeze(name)
    with pytest.raises(AccountFrozen):
        town.capture(payment)
    assert town.payments[payment].state == "held"
    town.void(payment)
    town.now = DEADLINE
    town.expire(other)
    assert town.accounts["alice"].holds == ()


def test_a_void_releases_all_that_is_left() -> None:
    town = a_town()
    payment = hold(town, 60)
    since = town.end
    town.void(payment)
    assert told(town, since) == [PaymentVoided, AccountReleased, AccountReleased]
    assert {event.reason for event in town.events[since + 1 : -1]} == {"voided"}
    assert balances(town, "alice") == (100, 0, 0, 100)
    assert town.payments[payment].state == "voided"
    with pytest.raises(PaymentNotHeld):
        town.void(payment)


def test_after_a_capture_in_part_a_void_settles() -> None:
    town = a_town()
    payment = hold(town, 60)
    town.capture(payment, 25, final=False).void(payment)
    assert town.payments[payment].state == "settled"
    assert balances(town, "alice") == (75, 0, 0, 75)


def test_one_microsecond_before_its_deadline_a_hold_captures() -> None:
    town = a_town()
    payment = hold(town, 60)
    town.now = DEADLINE - MICROSECOND
    assert balances(town, "alice") == (100, 60, 0, 40)
    town.capture(payment)
    assert town.payments[payment].state == "settled"


@pytest.mark.parametrize("swept", [False, True], ids=["unswept", "swept"])
@pytest.mark.parametrize("after", [timedelta(), timedelta(days=9)], ids=["at", "after"])
def test_from_its_deadline_on_it_neither_captures_nor_voids_nor_counts(
    after: timedelta, swept: bool
) -> None:
    town = a_town()
    payment, in_part = hold(town, 60), hold(town, 20)
    town.capture(in_part, 5, final=False)
    town.now = DEADLINE + after
    if swept:
        town.expire(payment).expire(in_part)
    assert balances(town, "alice") == (95, 0, 0, 95)
    assert balances(town, "bob") == (5, 0, 0, 5)
    for one, state in ((payment, "expired"), (in_part, "settled")):
        assert town.payments[one].state_at(town.now) == state
        with pytest.raises(HoldExpired):
            town.capture(one)
        with pytest.raises(HoldExpired):
            town.void(one)
    assert town.payments[town.pay(("alice", "bob", 95))].state == "settled"


def test_what_was_captured_whole_in_time_did_not_expire() -> None:
    town = a_town()
    payment = hold(town, 60)
    town.capture(payment).later(days=9)
    with pytest.raises(PaymentNotHeld):
        town.capture(payment)


def test_expiry_records_what_is_so_already() -> None:
    town = a_town()
    payment = hold(town, 60)
    town.now = DEADLINE
    # An event in between, that tells the balances as they are then.
    town.pay(("cash", "alice", 1))
    assert town.accounts["alice"].holds == ()
    since = town.end
    town.expire(payment)
    expired, *released = town.events[since:]
    assert isinstance(expired, PaymentExpired)
    assert expired.released == (60,)
    assert [(event.pending_debit, event.pending_credit) for event in released] == [(0, 0)] * 2
    assert [event.available for event in released] == [101, 0]
    with pytest.raises(NothingDue):
        town.expire(payment)


def test_nothing_expires_before_its_time() -> None:
    town = a_town()
    payment = hold(town, 60)
    town.now = DEADLINE - MICROSECOND
    with pytest.raises(NothingDue):
        town.expire(payment)


def test_balances_in_an_event_leave_out_what_has_expired_by_its_recorded_time() -> None:
    town = a_town()
    hold(town, 60)
    town.later(seconds=1)
    hold(town, 30)  # its deadline is a second later
    town.now = DEADLINE
    town.pay(("alice", "bob", 70))
    debited, credited = town.events[-2:]
    assert (debited.pending_debit, debited.available) == (30, 0)
    assert credited.pending_credit == 30
    town.later(seconds=1)
    assert balances(town, "alice") == (30, 0, 0, 30)


def test_an_account_with_an_open_hold_does_not_close_and_with_an_expired_one_does() -> None:
    town = History().open("cash", normal_side="debit").open("bob")
    payment = town.hold(("cash", "bob", 5), hold_timeout_s=TIMEOUT_S)
    by = {"command": COMMAND, "actor": ACTOR}
    town.now = DEADLINE - MICROSECOND
    with pytest.raises(AccountNotEmpty):
        town.accounts["bob"].close("moved", **by, now=town.now)
    town.now = DEADLINE
    town.close("bob").expire(payment)
    assert town.accounts["bob"].status == "closed"


@pytest.mark.parametrize("held", [False, True], ids=["settled", "held"])
def test_a_balance_stays_in_range_whatever_becomes_of_holds(held: bool) -> None:
    town = History().open("a", "b", "full")
    most = 9_007_199_254_740_991
    full = town.accounts["full"]
    full.posted, full.pending_credit = 2**63 - 1 - most, most - 5
    mode = {"mode": "hold"} if held else {}
    refused = town.payments[town.pay(("a", "full", 6), **mode)]
    assert refused.state == "refused"
    assert town.events[-1].refusal == {"code": "balance_overflow", "account": "full", "index": 0}
    assert town.payments[town.pay(("a", "full", 5), **mode)].state != "refused"


def test_what_is_held_stays_in_range_on_either_side() -> None:
    town = History().open("a", "b")
    town.accounts["a"].posted = 2**62
    town.accounts["a"].pending_debit = 2**63 - 1
    assert town.payments[town.hold(("a", "b", 1))].state == "refused"
    assert town.events[-1].refusal == {"code": "balance_overflow", "account": "a", "index": 0}


def test_a_copy_of_an_account_keeps_its_holds_to_itself() -> None:
    town = a_town()
    payment = hold(town, 60)
    copy = town.accounts["alice"].copied()
    town.void(payment)
    assert copy.pending_at(town.now) == (60, 0)
    assert left_of(copy.holds, DEADLINE, payment, 0) == 60


# The sequence -----------------------------------------------------------------------------


def a_hold(seconds: int, number: int | None = None, posting: int = 0, left: int = 7) -> Hold:
    """Of a payment of its own for each deadline, unless a number is given."""
    payment = UUID(int=seconds if number is None else number)
    return Hold(START + timedelta(seconds=seconds), payment, posting, "debit", left)


def test_holds_are_kept_in_order_of_their_deadlines() -> None:
    holds: tuple[Hold, ...] = ()
    for one in (a_hold(5), a_hold(3), a_hold(9), a_hold(5, posting=1), a_hold(5, number=0)):
        holds = with_left(holds, one)
    assert holds == tuple(sorted(holds))
    assert len(holds) == 5
    assert expired_at(holds, START + timedelta(seconds=5)) == holds[:4]
    assert expired_at(holds, START + timedelta(seconds=9)) == holds
    assert open_at(holds, START + timedelta(seconds=5)) == holds[4:]
    assert open_at(holds, START) == holds
    assert open_at((), START) == expired_at((), START) == ()


def test_what_is_left_of_a_hold_replaces_it_and_nothing_left_ends_it() -> None:
    holds = with_left(with_left((), a_hold(5)), a_hold(6))
    holds = with_left(holds, a_hold(5, left=2))
    assert [one.left for one in holds] == [2, 7]
    assert left_of(holds, *a_hold(5)[:3]) == 2
    assert left_of(holds, *a_hold(5, posting=1)[:3]) == left_of((), *a_hold(5)[:3]) == 0
    assert with_left(holds, a_hold(5, left=0)) == holds[1:]
    assert with_left(holds, a_hold(7, left=0)) == holds
