from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from projections.balances.fold import Balance, Hold, HoldKey, Known, fold, needed
from projections.feed import Record
from tests.fixtures.fix_events import START, History


def told(
    account: str,
    position: int,
    version: int,
    posted: int,
    pending: tuple[int, int] = (0, 0),
    available: int | None = None,
    *,
    at: datetime = START,
) -> Balance:
    return Balance(account, position, version, posted, *pending, available, at)


def test_an_opened_account_starts_at_zero_with_its_overdraft_available() -> None:
    history = History().open("alice", overdraft_limit=50)
    folded = fold(history.records(), {}, {})
    assert folded.opened == [("alice", "EUR", "credit", 1)]
    assert folded.history == [told("alice", 1, 1, 0, available=50)]
    assert folded.current == {"alice": told("alice", 1, 1, 0, available=50)}


def test_each_entry_is_a_row_of_history_and_the_last_one_is_current() -> None:
    history = History().open("alice", "bob")
    history.pay(("alice", "bob", 30))
    history.pay(("bob", "alice", 10))
    folded = fold(history.records(after=4), {}, {})
    assert folded.opened == []
    assert folded.history == [
        told("alice", 6, 2, -30),
        told("bob", 7, 2, 30),
        told("bob", 9, 3, 20),
        told("alice", 10, 3, -20),
    ]
    assert folded.current == {
        "alice": told("alice", 10, 3, -20),
        "bob": told("bob", 9, 3, 20),
    }


@pytest.mark.parametrize(
    ("side", "pending", "available"),
    [("credit", (7, 5), 93 + 20), ("debit", (7, 5), 95 + 20)],
)
def test_a_new_overdraft_limit_makes_available_anew_from_the_side_that_lowers(
    side: str, pending: tuple[int, int], available: int
) -> None:
    history = History().open("alice", normal_side=side, overdraft_limit=0)
    changed = history.change("alice", overdraft_limit=20).records(after=2)
    known = {"alice": Known(side, told("alice", 1, 1, 100, pending, 0))}
    assert fold(changed, known, {}).current == {
        "alice": told("alice", 3, 2, 100, pending, available)
    }


def test_an_unlimited_overdraft_leaves_nothing_to_say_of_available() -> None:
    history = History().open("alice", overdraft_limit=0).change("alice", overdraft_limit=None)
    assert fold(history.records(), {}, {}).current["alice"].available is None


def test_events_that_tell_no_balance_carry_the_one_before_them() -> None:
    history = History().open("alice", "bob", overdraft_limit=0)
    history.change("alice", metadata={"a": "b"}).freeze("alice").unfreeze("alice").close("alice")
    folded = fold(
        history.records(after=4),
        {"alice": Known("credit", told("alice", 1, 1, 0, available=0))},
        {},
    )
    assert folded.history == [
        told("alice", position, version, 0, available=0)
        for version, position in enumerate((5, 7, 9, 11), 2)
    ]


def test_only_events_that_tell_no_balance_need_what_was_before() -> None:
    history = History().open("alice", "bob", "carol")
    history.pay(("alice", "bob", 30))
    assert needed(history.records()) == (set(), set())
    assert needed(history.freeze("carol").records()) == ({"carol"}, set())


def test_an_account_that_was_never_opened_is_a_lookup_error() -> None:
    history = History().open("alice").freeze("alice")
    with pytest.raises(LookupError):
        fold(history.records(after=2), {}, {})


# Holds ------------------------------------------------------------------------------------


def test_a_hold_is_a_row_for_each_side_and_the_balances_it_tells() -> None:
    history = History().open("alice", overdraft_limit=100).open("bob")
    payment = history.hold(("alice", "bob", 30), hold_timeout_s=60)
    folded = fold(history.records(after=4), {}, {})
    assert folded.history == [
        told("alice", 6, 2, 0, (30, 0), 70),
        told("bob", 7, 2, 0, (0, 30)),
    ]
    debit, credit = folded.holds_history
    assert debit == Hold(
        payment=payment,
        posting=0,
        side="debit",
        account="alice",
        opened_position=6,
        currency="EUR",
        counter_account="bob",
        expires_at=START + timedelta(seconds=60),
        amount_minor=30,
        captured=0,
        left=30,
        expired=False,
        position=6,
    )
    assert (credit.account, credit.side, credit.opened_position) == ("bob", "credit", 7)
    assert folded.holds == {(payment, 0, "debit"): debit, (payment, 0, "credit"): credit}


@pytest.mark.parametrize("cut", [None, 7, 11])
def test_a_hold_is_captured_in_parts_and_its_rest_released(cut: int | None) -> None:
    """In one batch, or with what the read model holds of it from the one before."""
    history = History().open("alice", "bob")
    payment = history.hold(("alice", "bob", 30))
    history.capture(payment, 12, final=False)
    history.capture(payment, 10)
    folded = fold(history.records()[:cut], {}, {})
    if cut is not None:
        rest = history.records(after=cut)
        assert needed(rest) == (set(), {(payment, 0, "debit"), (payment, 0, "credit")})
        folded = fold(rest, {}, folded.holds)
    debit = folded.holds[HoldKey(payment, 0, "debit")]
    assert (debit.captured, debit.left, debit.expired, debit.position) == (22, 0, False, 15)
    changes = [
        (hold.position, hold.captured, hold.left)
        for hold in folded.holds_history
        if hold.side == "credit"
    ]
    assert changes == [(7, 0, 30), (10, 12, 18), (14, 22, 8), (16, 22, 0)][-len(changes) :]
    assert folded.current["alice"] == told("alice", 15, 5, -22)


@pytest.mark.parametrize("ended_by", ["void", "expire"])
def test_a_hold_that_ends_has_nothing_left(ended_by: str) -> None:
    history = History().open("alice", "bob")
    payment = history.hold(("alice", "bob", 30), hold_timeout_s=60)
    if ended_by == "expire":
        history.later(seconds=60)
    getattr(history, ended_by)(payment)
    hold = fold(history.records(), {}, {}).holds[HoldKey(payment, 0, "debit")]
    assert (hold.captured, hold.left, hold.expired) == (0, 0, ended_by == "expire")


def test_a_balance_is_of_the_time_that_it_was_told_at() -> None:
    history = History().open("alice", "bob")
    history.later(hours=1).pay(("alice", "bob", 30))
    history.later(hours=1).change("alice", overdraft_limit=7)
    balances = fold(history.records(), {}, {}).current
    assert balances["alice"] == told(
        "alice", 8, 3, -30, available=-23, at=START + timedelta(hours=1)
    )


def test_steps_of_a_payment_tell_no_balance() -> None:
    history = History().open("alice", "bob")
    refunded = history.pay(("alice", "bob", 30))
    canceled = history.pay(("alice", "bob", 30), execute_at=START + timedelta(hours=1))
    history.refund(refunded)
    history.cancel(canceled)
    assert [each.position for each in fold(history.records(after=4), {}, {}).history] == [
        *(6, 7, 10, 11)
    ]


def test_a_hold_that_was_never_opened_is_a_lookup_error() -> None:
    history = History().open("alice", "bob")
    history.void(history.hold(("alice", "bob", 30)))
    with pytest.raises(LookupError):
        fold(history.records(after=7), {}, {})


def test_an_event_that_it_does_not_know_is_never_passed_over(unknown: Record) -> None:
    with pytest.raises(TypeError, match="unknown to balances"):
        fold(cast(Sequence[Any], [unknown]), {}, {})
