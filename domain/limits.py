"""Velocity limits: how often, and how much, an account may be debited in a window of time.

What counts is kept for limits that exist, from when each was set, and is pruned and merged while
events are applied, by their recorded times alone: cache, snapshot and replay agree.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Final, Literal, NamedTuple, assert_never
from uuid import UUID

from domain.events import AccountDebited, AccountHeld, AccountReleased
from domain.leaving import Entry, Leaving, staying, time_of_room, total, with_entry
from domain.times import time_text

Window = Literal["hour", "day", "month"]

MAX_EXACT: Final = 10_000
"""Where a window has more payments, what is debited leaves it with all else of its grain, at the
end of that: a little later than alone, so a payment may be refused that would have fitted. A window
has some thousand grains: so many entries more, and those of open holds, are all that is kept."""

_GRAIN: Final[dict[Window, timedelta]] = {
    "hour": timedelta(seconds=1),
    "day": timedelta(seconds=30),
    "month": timedelta(days=1),  # all that counts leaves at the end of one
}

_ROLLING: Final = {"hour": timedelta(hours=1), "day": timedelta(days=1)}

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_deadline = attrgetter("expires_at")
_key = attrgetter("expires_at", "payment")


class Limit(NamedTuple):
    """At most so many payments, or so much, in a window; it is the same limit while window and
    carrier are."""

    window: Window
    """`hour` and `day` roll: (t - w, t]; `month` is the calendar month in UTC."""
    carrier: str | None
    """Only what came by it counts; None: everything."""
    max_count: int | None
    max_amount: int | None
    """Minor units."""


class Held(NamedTuple):
    """A payment's hold that counts; the order of the members is that of a meter's holds."""

    expires_at: datetime
    payment: UUID
    window_ends: datetime
    """When what is captured of it leaves the window."""
    payments: int
    """1 until something is captured: from then on that counts for the payment."""
    left: int
    """Still held, in minor units."""

    @property
    def leaves_at(self) -> datetime:
        """When what is left is given back, or no longer matters."""
        return min(self.expires_at, self.window_ends)


class Meter(NamedTuple):
    """A limit with what counts towards it."""

    limit: Limit
    leaving: Leaving = ()
    holds: tuple[Held, ...] = ()
    """Those of `leaving` that are open, in order of their deadlines."""
    last: UUID | None = None
    """The payment debited last: its other postings make it no second payment."""

    def counts(self, carrier: str) -> bool:
        return self.limit.carrier in (None, carrier)

    def after(self, event: AccountDebited | AccountHeld | AccountReleased) -> Meter:
        """With what the event, on the debit side, does to what counts."""
        at, payment, amount = event.timestamp, event.payment, event.amount_minor
        match event:
            case AccountDebited(hold_expires_at=datetime() as expires_at):
                return self.captured(at, payment, amount, expires_at)
            case AccountReleased():
                return self.released(at, payment, amount, event.expires_at)
            case _ if not self.counts(event.carrier):
                return self
            case AccountDebited():
                return self.debited(at, payment, amount)
            case AccountHeld():
                return self.held(at, payment, amount, event.expires_at)
            case _:
                assert_never(event)

    def debited(self, at: datetime, payment: UUID, amount: int) -> Meter:
        payments = 0 if payment == self.last else 1
        meter = Meter(self.limit, self.leaving, self.holds, payment)._pruned(at)
        return meter._with_debit(at, self._window_ends(at), payments, amount)

    def held(self, at: datetime, payment: UUID, amount: int, expires_at: datetime) -> Meter:
        meter = self._pruned(at)
        new = Held(expires_at, payment, self._window_ends(at), 0, 0)
        held = meter._hold(expires_at, payment) or new
        return meter._with_hold(at, held, 1, held.left + amount)

    def captured(self, at: datetime, payment: UUID, amount: int, expires_at: datetime) -> Meter:
        """Counted when it was held: only what becomes of it changes."""
        meter = self._pruned(at)
        held = meter._hold(expires_at, payment)
        if held is None:  # from before the limit, or by another carrier
            return meter
        meter = meter._with_hold(at, held, 0, held.left - amount)
        return meter._with_debit(at, held.window_ends, held.payments, amount)

    def released(self, at: datetime, payment: UUID, amount: int, expires_at: datetime) -> Meter:
        meter = self._pruned(at)
        held = meter._hold(expires_at, payment)
        if held is None:
            return meter
        left = held.left - amount
        return meter._with_hold(at, held, held.payments if left else 0, left)

    def fits(self, now: datetime, amount: int) -> bool:
        """Whether one more payment of the amount does."""
        return self._fits(*total(staying(self.leaving, now)), amount)

    def frees_at(self, now: datetime, amount: int) -> datetime | None:
        """When a payment of the amount would fit, were nothing else to come; None: never."""
        if not self._fits(0, 0, amount):
            return None
        if self.fits(now, amount):
            return now
        return time_of_room(
            staying(self.leaving, now),
            lambda payments, counted: self._fits(payments, counted, amount),
        )

    def _fits(self, payments: int, counted: int, amount: int) -> bool:
        limit = self.limit
        return (limit.max_count is None or payments + 1 <= limit.max_count) and (
            limit.max_amount is None or counted + amount <= limit.max_amount
        )

    def _window_ends(self, at: datetime) -> datetime:
        """When what is recorded then has left the window."""
        if self.limit.window == "month":
            first = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
            return (first + timedelta(days=31)).replace(day=1)
        return at + _ROLLING[self.limit.window]

    def _pruned(self, now: datetime) -> Meter:
        """With what counts then."""
        past = bisect_right(self.holds, now, key=_deadline)
        return Meter(self.limit, staying(self.leaving, now), self.holds[past:], self.last)

    def _with_debit(self, now: datetime, leaves_at: datetime, payments: int, amount: int) -> Meter:
        if total(self.leaving)[0] + payments > MAX_EXACT:
            leaves_at += (_EPOCH - leaves_at) % _GRAIN[self.limit.window]
        return self._with_entry(now, Entry(leaves_at, payments, amount))

    def _hold(self, expires_at: datetime, payment: UUID) -> Held | None:
        start, end = self._place(expires_at, payment)
        return self.holds[start] if start < end else None

    def _with_hold(self, now: datetime, held: Held, payments: int, left: int) -> Meter:
        """With that much of the hold: one that is new is added, one with nothing left goes."""
        start, end = self._place(held.expires_at, held.payment)
        some = (held._replace(payments=payments, left=left),) if left else ()
        holds = (*self.holds[:start], *some, *self.holds[end:])
        more = Entry(held.leaves_at, payments - held.payments, left - held.left)
        return Meter(self.limit, self.leaving, holds, self.last)._with_entry(now, more)

    def _with_entry(self, now: datetime, entry: Entry) -> Meter:
        if entry.at <= now:
            return self
        return Meter(self.limit, with_entry(self.leaving, entry), self.holds, self.last)

    def _place(self, expires_at: datetime, payment: UUID) -> tuple[int, int]:
        """From where to where the payment's hold is, which may be nowhere."""
        key = (expires_at, payment)
        return bisect_left(self.holds, key, key=_key), bisect_right(self.holds, key, key=_key)


def set_limits(meters: Iterable[Meter], limits: Iterable[Limit]) -> tuple[Meter, ...]:
    """With these limits; what has counted towards one that stays still does."""
    before = {meter.limit[:2]: meter for meter in meters}
    return tuple(before.get(limit[:2], Meter(limit))._replace(limit=limit) for limit in limits)


def limit_of(told: dict[str, Any]) -> Limit:
    return Limit(told["window"], told["carrier"], told["max_count"], told["max_amount"])


def exceeded(
    meters: Iterable[Meter], now: datetime, amount: int, carrier: str
) -> dict[str, Any] | None:
    """Of the first limit that a payment would exceed: the limit, and when it would fit."""
    for meter in meters:
        if meter.counts(carrier) and not meter.fits(now, amount):
            frees_at = meter.frees_at(now, amount)
            return {
                "limit": meter.limit._asdict(),
                "frees_at": frees_at and time_text(frees_at),
            }
    return None
