"""Velocity limits: what counts, for how long, and when it would fit again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.leaving import total
from domain.limits import Limit, exceeded, set_limits
from domain.times import time_text
from tests.fixtures.fix_events import START, History

MICROSECOND = timedelta(microseconds=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def limit(window: str = "hour", **terms: Any) -> dict[str, Any]:
    return {"window": window, "carrier": None, "max_count": None, "max_amount": None, **terms}


def a_town(*of_alice: dict[str, Any]) -> History:
    """Alice has 1,000 and these limits."""
    town = History().open("cash", normal_side="debit").open("alice", "bob", overdraft_limit=0)
    town.pay(("cash", "alice", 1000))
    return town.change("alice", limits=[*of_alice]) if of_alice else town


def pays(town: History, amount: int = 1, **terms: Any) -> Any:
    """What a payment of Alice's is refused for, None where it isn't."""
    return refusal(town, town.pay(("alice", "bob", amount), **terms))


def refusal(town: History, payment: UUID) -> Any:
    return town.events[-1].refusal if town.payments[payment].state == "refused" else None


def frees_at(town: History, amount: int = 1) -> Any:
    return pays(town, amount)["frees_at"]


@pytest.mark.parametrize(("window", "length"), [("hour", HOUR), ("day", DAY)])
def test_a_rolling_window_is_open_at_its_beginning_and_closed_at_its_end(
    window: str, length: timedelta
) -> None:
    town = a_town(limit(window, max_count=1))
    assert pays(town) is None
    town.now = START + length - MICROSECOND
    assert pays(town) == {
        "code": "limit_exceeded",
        "account": "alice",
        "index": 0,
        "limit": limit(window, max_count=1),
        "frees_at": time_text(START + length),
    }
    town.now = START + length
    assert pays(town) is None


def test_a_month_is_the_calendars_in_utc() -> None:
    town = a_town(limit("month", max_count=1))
    town.now = datetime(2026, 11, 30, 23, 59, 59, 999_999, tzinfo=UTC)
    assert pays(town) is None
    assert frees_at(town) == "2026-12-01T00:00:00.000000Z"
    town.now += MICROSECOND
    assert pays(town) is None
    assert frees_at(town) == "2027-01-01T00:00:00.000000Z"


def test_amounts_may_fill_a_limit_to_the_last_cent() -> None:
    town = a_town(limit(max_amount=100))
    assert pays(town, 60) is None
    assert pays(town, 41)["limit"] == limit(max_amount=100)
    assert pays(town, 40) is None
    assert pays(town, 1) is not None


def test_it_frees_when_enough_has_left_the_window() -> None:
    town = a_town(limit(max_amount=100))
    for amount in (30, 30, 40):
        assert pays(town, amount) is None
        town.later(minutes=10)
    assert frees_at(town, 30) == time_text(START + HOUR)
    assert frees_at(town, 31) == time_text(START + HOUR + timedelta(minutes=10))
    assert frees_at(town, 100) == time_text(START + HOUR + timedelta(minutes=20))
    assert frees_at(town, 101) is None


def test_a_limit_of_nothing_never_fits() -> None:
    assert frees_at(a_town(limit(max_count=0))) is None


def test_what_came_before_the_limit_was_set_does_not_count() -> None:
    town = a_town()
    assert pays(town) is None
    town.change("alice", limits=[limit(max_count=1)])
    assert pays(town) is None
    assert pays(town) is not None


def test_money_that_comes_in_does_not_count_nor_does_what_is_refused() -> None:
    town = a_town(limit(max_count=1))
    town.pay(("cash", "alice", 5))
    assert pays(town, 10**6)["code"] == "insufficient_funds"
    assert pays(town) is None


def test_only_what_comes_by_its_carrier_counts_towards_a_limit_that_names_one() -> None:
    town = a_town(limit(carrier="qr", max_count=1), limit("day", max_count=3))
    assert pays(town, carrier="qr") is None
    assert pays(town, carrier="qr")["limit"]["carrier"] == "qr"
    assert pays(town, carrier="nfc") is None
    assert pays(town) is None
    assert pays(town)["limit"] == limit("day", max_count=3)


def test_a_payment_counts_once_an_account_with_all_that_it_debits() -> None:
    town = a_town(limit(max_count=1, max_amount=10))
    both = town.pay(("alice", "bob", 6), ("alice", "cash", 5))
    assert refusal(town, both)["code"] == "limit_exceeded"
    assert refusal(town, town.pay(("alice", "bob", 6), ("alice", "cash", 4))) is None
    (meter,) = town.accounts["alice"].meters
    assert total(meter.leaving) == (1, 10)


def test_the_posting_named_is_the_first_of_the_account_whose_limit_it_is() -> None:
    town = a_town(limit(max_amount=10))
    payment = town.pay(("cash", "bob", 1), ("alice", "bob", 6), ("alice", "bob", 5))
    assert refusal(town, payment)["index"] == 1


def test_a_hold_counts_when_it_is_held_and_its_capture_not_again() -> None:
    town = a_town(limit(max_count=2, max_amount=100))
    payment = town.hold(("alice", "bob", 60))
    assert pays(town, 41) is not None
    town.later(minutes=30).capture(payment)
    assert pays(town, 40) is None
    assert pays(town, 1) is not None  # two payments
    town.now = START + HOUR
    assert pays(town, 60) is None  # it left with the hold's time, not with the capture's


def test_a_hold_from_before_the_limit_was_set_counts_nothing_when_captured() -> None:
    town = a_town()
    payment = town.hold(("alice", "bob", 60))
    town.change("alice", limits=[limit(max_count=1)]).capture(payment, 20)
    assert pays(town) is None


def test_what_a_void_releases_is_given_back_with_its_count() -> None:
    town = a_town(limit(max_count=1, max_amount=60))
    town.void(town.hold(("alice", "bob", 60)))
    assert pays(town, 60) is None


def test_a_capture_in_part_keeps_the_count_and_gives_back_the_rest() -> None:
    town = a_town(limit(max_amount=60), limit("day", max_count=2))
    town.capture(town.hold(("alice", "bob", 60)), 25)
    assert pays(town, 36)["limit"]["max_amount"] == 60
    assert pays(town, 35) is None
    town.now = START + HOUR
    assert pays(town)["limit"]["max_count"] == 2


@pytest.mark.parametrize("swept", [False, True], ids=["unswept", "swept"])
def test_at_its_deadline_a_hold_is_given_back_swept_or_not(swept: bool) -> None:
    town = a_town(limit(max_count=1, max_amount=60))
    payment = town.hold(("alice", "bob", 60), hold_timeout_s=10)
    deadline = START + timedelta(seconds=10)
    assert frees_at(town) == time_text(deadline)
    town.now = deadline - MICROSECOND
    assert pays(town) is not None
    town.now = deadline
    if swept:
        town.expire(payment)
    assert pays(town, 60) is None


def test_at_its_deadline_what_was_captured_in_part_keeps_counting() -> None:
    town = a_town(limit(max_amount=60), limit("day", max_count=1))
    payment = town.hold(("alice", "bob", 60), hold_timeout_s=10)
    town.capture(payment, 20, final=False)
    assert frees_at(town, 40) == time_text(START + timedelta(seconds=10))
    assert frees_at(town, 60) == time_text(START + HOUR)
    town.later(seconds=10)
    assert pays(town, 41)["limit"]["max_amount"] == 60
    assert pays(town, 40)["limit"]["max_count"] == 1
    town.expire(payment)
    assert pays(town, 40)["frees_at"] == time_text(START + DAY)


def test_a_hold_that_outlives_its_window_leaves_it() -> None:
    town = a_town(limit(max_count=1))
    payment = town.hold(("alice", "bob", 60))
    assert frees_at(town) == time_text(START + HOUR)
    town.now = START + HOUR
    assert pays(town) is None
    town.capture(payment, 1)
    assert frees_at(town) == time_text(START + 2 * HOUR)


def test_a_changed_maximum_keeps_what_has_counted_and_another_window_begins_anew() -> None:
    town = a_town(limit(max_count=5, max_amount=100))
    assert pays(town, 60) is None
    town.change("alice", limits=[limit(max_amount=70)])
    assert pays(town, 11) is not None
    assert pays(town, 10) is None
    town.change("alice", limits=[limit("day", max_amount=70)])
    assert pays(town, 70) is None
    town.change("alice", limits=[limit(carrier="api", max_amount=70)])
    assert pays(town, 70) is None
    assert town.accounts["alice"].limits == [limit(carrier="api", max_amount=70)]


def test_a_limit_that_is_set_as_it_was_changes_nothing() -> None:
    town = a_town(limit(max_count=1))
    since = town.end
    town.change("alice", limits=[limit(max_count=1)])
    assert town.end == since + 1  # the record of the command alone


def test_the_first_limit_that_is_exceeded_is_told() -> None:
    meters = set_limits((), [Limit("hour", "qr", 0, None), Limit("day", None, 0, None)])
    told = exceeded(meters, START, 1, "api")
    assert told is not None
    assert told["limit"] == limit("day", max_count=0)
    assert exceeded((), START, 1, "api") is None
