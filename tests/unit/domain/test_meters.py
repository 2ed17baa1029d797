"""Meters: exact up to their bound, past it at most a grain late, and never much to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, SupportsIndex
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import leaving, limits
from domain.leaving import Block, Entry, total
from domain.limits import Held, Limit, Meter, Window
from tests.fixtures.fix_events import START
from tests.property.velocity import leaves_at

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
HOURLY = Limit("hour", None, 10**6, 10**9)
DAILY = Limit("day", None, 10**6, 10**9)


def payment(number: int) -> UUID:
    return UUID(int=number)


def entries(meter: Meter) -> list[Entry]:
    return [entry for block in meter.leaving for entry in block.entries]


# Against one that sums anew ---------------------------------------------------------------


@dataclass
class Payment:
    at: datetime
    captured: int = 0
    left: int = 0
    expires_at: datetime = START


class Sums:
    """Keeps every payment, and sums what counts whenever it is asked."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.payments: list[Payment] = []

    def counted(self, now: datetime, late: timedelta) -> list[int]:
        amounts = [
            payment.captured + (payment.left if payment.expires_at > now else 0)
            for payment in self.payments
            if leaves_at(self.window, payment.at) + late > now
        ]
        return [amount for amount in amounts if amount]

    def fits(self, limit: Limit, now: datetime, amount: int, late: timedelta = timedelta()) -> bool:
        counted = self.counted(now, late)
        few = limit.max_count is None or len(counted) < limit.max_count
        return few and (limit.max_amount is None or sum(counted) + amount <= limit.max_amount)

    def frees_at(self, limit: Limit, now: datetime, amount: int) -> datetime | None:
        moments = {leaves_at(self.window, payment.at) for payment in self.payments}
        moments |= {payment.expires_at for payment in self.payments}
        later = sorted(moment for moment in moments if moment > now)
        return next((at for at in (now, *later) if self.fits(limit, at, amount)), None)


class Both:
    """A meter and the sums, with the same payments."""

    def __init__(self, window: Window) -> None:
        self.now = START
        self.meter = Meter(Limit(window, None, None, None))
        self.sums = Sums(window)

    def take(self, step: str, amount: int, lasts: timedelta, number: int) -> None:
        held = self.sums.payments
        is_open = [n for n, one in enumerate(held) if one.left and one.expires_at > self.now]
        match step:
            case "pay":
                self.sums.payments.append(Payment(self.now))
                self.debit(amount)
            case "pay twice":
                self.sums.payments.append(Payment(self.now))
                self.debit(amount)
                self.debit(1)
            case "hold" | "hold twice":
                self.sums.payments.append(Payment(self.now, expires_at=self.now + lasts))
                self.hold(amount)
                if step == "hold twice":
                    self.hold(1)
            case "capture" if is_open:
                number = is_open[number % len(is_open)]
                self.capture(number, min(amount, held[number].left))
            case "release" if is_open:
                self.release(is_open[number % len(is_open)])
            case "sweep":
                for n, one in enumerate(held):
                    if one.left and one.expires_at <= self.now:
                        self.release(n)

    def debit(self, amount: int) -> None:
        number = len(self.sums.payments) - 1
        self.sums.payments[number].captured += amount
        self.meter = self.meter.debited(self.now, payment(number), amount)

    def hold(self, amount: int) -> None:
        number = len(self.sums.payments) - 1
        one = self.sums.payments[number]
        one.left += amount
        self.meter = self.meter.held(self.now, payment(number), amount, one.expires_at)

    def capture(self, number: int, amount: int) -> None:
        one = self.sums.payments[number]
        one.captured += amount
        one.left -= amount
        self.meter = self.meter.captured(self.now, payment(number), amount, one.expires_at)

    def release(self, number: int) -> None:
        """Of two postings, one after the other."""
        one = self.sums.payments[number]
        for amount in filter(None, (one.left - 1, 1)):
            self.meter = self.meter.released(self.now, payment(number), amount, one.expires_at)
        one.left = 0


GAPS = st.sampled_from([0, 0.3, 0.7, 5, 40, 600, 3_600, 50_000, 86_400, 10**6])
STEPS = st.tuples(
    GAPS,
    st.sampled_from(["pay", "pay twice", "hold", "hold twice", "capture", "release", "sweep"]),
    st.integers(1, 9),
    st.sampled_from([1, 0.3, 300, 3_600, 10**5]),
    st.integers(0, 9),
)
MAXIMA = st.none() | st.integers(0, 12)
QUESTIONS = st.tuples(GAPS, MAXIMA, MAXIMA, st.integers(1, 9))


def asked(
    window: Window, steps: list[Any], questions: list[Any]
) -> Iterator[tuple[Both, Limit, datetime, int]]:
    """Questions at the times after each step, the limit being another one every time."""
    both = Both(window)
    for gap, step, amount, lasts, number in steps:
        both.now += timedelta(seconds=gap)
        both.take(step, amount, timedelta(seconds=lasts), number)
        for later, max_count, max_amount, more in questions:
            limit = Limit(window, None, max_count, max_amount)
            both.meter = both.meter._replace(limit=limit)
            yield both, limit, both.now + timedelta(seconds=later), more


windows = pytest.mark.parametrize("window", ["hour", "day", "month"])
plans = given(
    steps=st.lists(STEPS, max_size=25), questions=st.lists(QUESTIONS, min_size=1, max_size=3)
)


@windows
@plans
def test_up_to_its_bound_it_is_exact(
    window: Window, steps: list[Any], questions: list[Any]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leaving, "MAX_BLOCK", 3)
        for both, limit, now, amount in asked(window, steps, questions):
            assert both.meter.fits(now, amount) == both.sums.fits(limit, now, amount)
            assert both.meter.frees_at(now, amount) == both.sums.frees_at(limit, now, amount)


@pytest.mark.parametrize(
    ("window", "grain"), [("hour", SECOND), ("day", 30 * SECOND), ("month", timedelta())]
)
@plans
def test_past_its_bound_it_frees_less_than_a_grain_late_and_never_early(
    window: Window, grain: timedelta, steps: list[Any], questions: list[Any]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leaving, "MAX_BLOCK", 3)
        patch.setattr(limits, "MAX_EXACT", 1)
        for both, limit, now, amount in asked(window, steps, questions):
            fits = both.meter.fits(now, amount)
            assert fits <= both.sums.fits(limit, now, amount)
            assert fits >= both.sums.fits(limit, now, amount, late=grain)
            exact, frees_at = (
                both.sums.frees_at(limit, now, amount),
                both.meter.frees_at(now, amount),
            )
            assert (exact is None) == (frees_at is None)
            if exact and frees_at:
                assert exact <= frees_at <= max(exact, exact + grain - timedelta.resolution)


# The bound --------------------------------------------------------------------------------


def test_with_more_payments_than_the_bound_those_of_a_grain_leave_together_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MAX_EXACT", 2)
    meter = Meter(HOURLY)
    for number in range(6):
        meter = meter.debited(START + number * 0.3 * SECOND, payment(number), 10)
    assert entries(meter) == [
        Entry(START + HOUR, 1, 10),
        Entry(START + HOUR + 0.3 * SECOND, 1, 10),
        Entry(START + HOUR + SECOND, 2, 20),  # of 0.6 and 0.9 s
        Entry(START + HOUR + 2 * SECOND, 2, 20),  # of 1.2 and 1.5 s
    ]
    # With fewer again, it is exact again.
    meter = meter.debited(START + HOUR + 1.1 * SECOND, payment(6), 10)
    meter = meter.debited(START + HOUR + 2.2 * SECOND, payment(7), 10)
    assert entries(meter)[-1].at == START + 2 * HOUR + 2.2 * SECOND


def test_of_the_payment_that_reaches_the_bound_each_posting_is_exact(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MAX_EXACT", 1)
    at = START + 0.5 * SECOND
    meter = Meter(HOURLY).debited(at, payment(1), 10).debited(at, payment(1), 5)
    assert entries(meter) == [Entry(at + HOUR, 1, 15)]
    held = Meter(HOURLY).held(at, payment(1), 10, at + DAY)
    held = held.captured(at, payment(1), 4, at + DAY).captured(at, payment(1), 5, at + DAY)
    assert entries(held) == [Entry(at + HOUR, 1, 10)]


def test_the_deadlines_of_open_holds_are_exact_past_the_bound_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "MAX_EXACT", 0)
    deadlines = [START + n * 0.1 * SECOND for n in range(1, 5)]
    meter = Meter(HOURLY)
    for number, deadline in enumerate(deadlines):
        meter = meter.held(START, payment(number), 10, deadline)
    assert entries(meter) == [Entry(deadline, 1, 10) for deadline in deadlines]


def test_payments_seconds_apart_are_bounded_in_number_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_EXACT", 1_000)
    grains = DAY // (30 * SECOND) + 1
    meter, kept = Meter(DAILY), 0
    for number in range(12_000):  # for more than a day
        meter = meter.debited(START + 8 * number * SECOND, payment(number), 10)
        kept = max(kept, len(entries(meter)) if number % 100 == 0 else 0)
    assert kept <= 1_000 + grains
    assert total(meter.leaving)[0] == pytest.approx(DAY // (8 * SECOND), abs=4)


def test_all_of_a_month_leaves_at_once() -> None:
    meter = Meter(Limit("month", None, None, 100))
    for number in range(1_000):
        meter = meter.debited(START + number * SECOND, payment(number), 10)
    assert entries(meter) == [Entry(leaves_at("month", START), 1_000, 10_000)]


class Looked(tuple[Any, ...]):
    """Counts what is looked at of it."""

    __slots__ = ()
    count = 0

    def __iter__(self) -> Iterator[Any]:
        Looked.count += len(self)
        return super().__iter__()

    def __getitem__(self, key: SupportsIndex | slice) -> Any:
        found = super().__getitem__(key)
        Looked.count += len(found) if isinstance(key, slice) else 1
        return found


LOOKS: dict[str, Callable[[Meter, datetime], object]] = {
    "fits": lambda meter, now: meter.fits(now, 1),
    "frees_at": lambda meter, now: meter.frees_at(now, 1),
    "debited": lambda meter, now: meter.debited(now, payment(10_000), 10),
    "held": lambda meter, now: meter.held(now, payment(10_000), 10, now + HOUR),
    "captured": lambda meter, now: meter.captured(now, payment(0), 1, START + 9 * DAY),
    "released": lambda meter, now: meter.released(now, payment(0), 1, START + 9 * DAY),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
@pytest.mark.parametrize("seconds", [10_000, 86_400 + 5_000], ids=["all inside", "half has left"])
def test_neither_question_nor_payment_looks_at_all_that_counts(
    look: Callable[[Meter, datetime], object], seconds: int
) -> None:
    meter = Meter(Limit("day", None, 1, None)).held(START, payment(0), 10, START + 9 * DAY)
    for number in range(1, 10_000):
        meter = meter.debited(START + number * SECOND, payment(number), 10)
    meter = meter._replace(
        leaving=Looked(Block(each[0], each[1], Looked(each.entries)) for each in meter.leaving),
        holds=Looked(meter.holds),
    )
    Looked.count = 0
    look(meter, START + seconds * SECOND)
    assert 0 < Looked.count < 1_500


def test_a_change_shares_all_blocks_but_those_it_touches() -> None:
    meter = Meter(DAILY)
    for number in range(2_000):
        meter = meter.debited(START + number * SECOND, payment(number), 10)
    after = meter.debited(START + DAY + SECOND, payment(2_000), 10)
    assert len({*map(id, after.leaving)} - {*map(id, meter.leaving)}) == 2


@pytest.mark.parametrize("order", [1, -1], ids=["oldest first", "newest first"])
def test_what_voids_leave_takes_few_blocks(order: int) -> None:
    meter = Meter(DAILY)
    deadlines = [START + HOUR + number * SECOND for number in range(2_000)]
    for number, deadline in enumerate(deadlines):
        meter = meter.held(START, payment(number), 10, deadline)
    for number, deadline in [*enumerate(deadlines)][::order]:
        if number % 50:
            meter = meter.released(START, payment(number), 10, deadline)
    assert entries(meter) == [Entry(deadline, 1, 10) for deadline in deadlines[::50]]
    assert len(meter.leaving) <= 2


# What is kept -----------------------------------------------------------------------------


def test_what_has_left_the_window_is_forgotten() -> None:
    meter = Meter(HOURLY).debited(START, payment(1), 10).debited(START + HOUR, payment(2), 10)
    assert entries(meter) == [Entry(START + 2 * HOUR, 1, 10)]


def test_a_hold_is_kept_until_it_is_settled_or_its_deadline() -> None:
    deadline = START + DAY
    meter = Meter(HOURLY).held(START, payment(1), 10, deadline)
    assert meter.holds == (Held(deadline, payment(1), START + HOUR, 1, 10),)
    # Also once it has left the window, where it changes nothing any more.
    settled = meter.captured(START + HOUR, payment(1), 10, deadline)
    assert settled == Meter(HOURLY)
    assert meter.released(START + HOUR, payment(1), 10, deadline) == Meter(HOURLY)
    assert meter.debited(deadline, payment(2), 1).holds == ()


def test_of_holds_with_one_deadline_the_payments_own_is_meant() -> None:
    deadline = START + DAY
    meter = Meter(HOURLY)
    for number in (2, 1, 3):
        meter = meter.held(START, payment(number), number, deadline)
    assert [held.payment for held in meter.holds] == [payment(1), payment(2), payment(3)]
    meter = meter.released(START, payment(2), 2, deadline)
    assert [held.left for held in meter.holds] == [1, 3]
    assert total(meter.leaving) == (2, 4)
