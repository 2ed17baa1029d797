"""Velocity limits: what counts, for how long, and when it would fit again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain import limits
from domain.limits import Entry, Limit, Meter, exceeded, set_limits
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
    assert [entry[2:4] for entry in meter.entries] == [(1, 10)]


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


# Meters -----------------------------------------------------------------------------------

HOURLY = Limit("hour", None, 10**6, 10**9)


def payment(number: int) -> UUID:
    return UUID(int=number)


def test_above_its_bound_the_entries_of_a_second_are_merged_as_of_its_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MAX_ENTRIES", 4)
    meter = Meter(HOURLY)
    for number in range(5):
        meter = meter.debited(START + number * timedelta(seconds=0.4), payment(number), 10)
    # 0, 0.4 and 0.8 s are one; of 1.2 and 1.6 s, the latter is being counted.
    assert meter.entries == (
        Entry(START + timedelta(seconds=0.8), None, 3, 30),
        Entry(START + timedelta(seconds=1.2), None, 1, 10),
        Entry(START + timedelta(seconds=1.6), payment(4), 1, 10),
    )
    # Merged again and again, they are as of the last of them.
    for number in range(5, 9):
        meter = meter.debited(START + timedelta(seconds=1.6), payment(number), 10)
    assert meter.entries[1:] == (
        Entry(START + timedelta(seconds=1.6), payment(8), 1, 10),
        Entry(START + timedelta(seconds=1.6), None, 5, 50),
    )
    # It errs towards refusal: the first would have left its window by now.
    nearly = START + HOUR + timedelta(seconds=0.7)
    assert not meter._replace(limit=Limit("hour", None, 8, None)).fits(nearly, 1)
    later = START + HOUR + timedelta(seconds=0.8)
    assert meter._replace(limit=Limit("hour", None, 7, None)).fits(later, 1)


def test_entries_of_open_holds_are_never_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_ENTRIES", 4)
    meter = Meter(HOURLY)
    for number in range(4):
        meter = meter.held(START, payment(number), 10, START + DAY)
    for number in range(4, 8):
        meter = meter.debited(START, payment(number), 1)
    assert [entry.left for entry in meter.entries if entry.left] == [10] * 4
    assert sum(entry.payments for entry in meter.entries) == 8
    for number in range(4):
        meter = meter.released(START, payment(number), 10)
    assert sum(entry.payments for entry in meter.entries) == 4
    assert sum(entry.amount + entry.left for entry in meter.entries) == 4


def test_a_payment_of_several_postings_counts_once_while_others_are_merged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MAX_ENTRIES", 2)
    meter = Meter(HOURLY)
    for number in (1, 2, 3, 3):
        meter = meter.debited(START, payment(number), 10)
    assert [entry[1:4] for entry in meter.entries] == [(payment(3), 1, 20), (None, 2, 20)]


def test_what_has_left_the_window_is_forgotten() -> None:
    meter = Meter(HOURLY).debited(START, payment(1), 10).debited(START + HOUR, payment(2), 10)
    assert [entry.payment for entry in meter.entries] == [payment(2)]


def test_the_first_limit_that_is_exceeded_is_told() -> None:
    meters = set_limits((), [Limit("hour", "qr", 0, None), Limit("day", None, 0, None)])
    told = exceeded(meters, START, 1, "api")
    assert told is not None
    assert told["limit"] == limit("day", max_count=0)
    assert exceeded((), START, 1, "api") is None
