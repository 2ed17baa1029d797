"""Velocity limits: how often, and how much, an account may be debited in a window of time.

What counts is kept for limits that exist, from when each was set, and is pruned and merged while
events are applied, by their recorded times alone: cache, snapshot and replay agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final, Literal, NamedTuple, assert_never
from uuid import UUID

from domain.events import AccountDebited, AccountHeld, AccountReleased
from domain.times import time_text

Window = Literal["hour", "day", "month"]

MAX_ENTRIES: Final = 10_000
"""With more in a window, those of a second are merged into one, as of its last: it leaves the
window a little later than they would have, so a payment may be refused that would have fitted."""

_ROLLING: Final = {"hour": timedelta(hours=1), "day": timedelta(days=1)}


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


class Entry(NamedTuple):
    """What a payment counts for, on one account."""

    at: datetime
    payment: UUID | None
    """None: several, merged."""
    payments: int
    amount: int
    """Debited, in minor units."""
    left: int = 0
    """Still held."""
    expires_at: datetime | None = None
    """From when on `left` counts no more, nor does the payment where nothing was debited."""

    def at_time(self, now: datetime) -> Entry:
        """As it counts then: what was held until its deadline is given back."""
        if self.expires_at is None or self.expires_at > now:
            return self
        return Entry(self.at, self.payment, self.payments if self.amount else 0, self.amount)


class Meter(NamedTuple):
    """A limit with what counts towards it, in order of time."""

    limit: Limit
    entries: tuple[Entry, ...] = ()

    def counts(self, carrier: str) -> bool:
        return self.limit.carrier in (None, carrier)

    def after(self, event: AccountDebited | AccountHeld | AccountReleased) -> Meter:
        """With what the event, on the debit side, does to what counts."""
        at, payment, amount = event.timestamp, event.payment, event.amount_minor
        match event:
            case AccountDebited(from_hold=True):
                return self.captured(at, payment, amount)
            case AccountReleased():
                return self.released(at, payment, amount)
            case _ if not self.counts(event.carrier):
                return self
            case AccountDebited():
                return self.debited(at, payment, amount)
            case AccountHeld():
                return self.held(at, payment, amount, event.expires_at)
            case _:
                assert_never(event)

    def debited(self, at: datetime, payment: UUID, amount: int) -> Meter:
        return self._changed(at, payment, amount=amount)

    def held(self, at: datetime, payment: UUID, amount: int, expires_at: datetime) -> Meter:
        return self._changed(at, payment, left=amount, expires_at=expires_at)

    def captured(self, at: datetime, payment: UUID, amount: int) -> Meter:
        """Counted when it was held: only what becomes of it changes."""
        return self._changed(at, payment, amount=amount, left=-amount, new=False)

    def released(self, at: datetime, payment: UUID, amount: int) -> Meter:
        return self._changed(at, payment, left=-amount, new=False)

    def fits(self, now: datetime, amount: int) -> bool:
        """Whether one more payment of the amount does."""
        inside = [*self._inside(now)]
        return self._fits(
            sum(entry.payments for entry in inside),
            sum(entry.amount + entry.left for entry in inside),
            amount,
        )

    def frees_at(self, now: datetime, amount: int) -> datetime | None:
        """When a payment of the amount would fit, were nothing else to come; None: never."""
        if not self._fits(0, 0, amount):
            return None
        inside = [*self._inside(now)]
        count = sum(entry.payments for entry in inside)
        total = sum(entry.amount + entry.left for entry in inside)
        leaving = iter(sorted(self._leaving(inside)))
        at = now
        while not self._fits(count, total, amount):
            at, less_count, less_amount = next(leaving)
            count -= less_count
            total -= less_amount
        return at

    def _fits(self, count: int, total: int, amount: int) -> bool:
        limit = self.limit
        return (limit.max_count is None or count + 1 <= limit.max_count) and (
            limit.max_amount is None or total + amount <= limit.max_amount
        )

    def _inside(self, now: datetime) -> Iterator[Entry]:
        """What counts at that time, as it counts then."""
        return (entry.at_time(now) for entry in self.entries if self._leaves_at(entry.at) > now)

    def _leaves_at(self, at: datetime) -> datetime:
        if self.limit.window == "month":
            first = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
            return (first + timedelta(days=31)).replace(day=1)
        return at + _ROLLING[self.limit.window]

    def _leaving(self, inside: Iterable[Entry]) -> Iterator[tuple[datetime, int, int]]:
        """When, how many and how much."""
        for entry in inside:
            leaves_at = self._leaves_at(entry.at)
            if entry.expires_at is not None and entry.expires_at < leaves_at:
                yield entry.expires_at, 0 if entry.amount else entry.payments, entry.left
                yield leaves_at, entry.payments if entry.amount else 0, entry.amount
            else:
                yield leaves_at, entry.payments, entry.amount + entry.left

    def _changed(
        self,
        at: datetime,
        payment: UUID,
        *,
        amount: int = 0,
        left: int = 0,
        expires_at: datetime | None = None,
        new: bool = True,
    ) -> Meter:
        kept = [*self._inside(at)]
        place = next((n for n in reversed(range(len(kept))) if kept[n].payment == payment), None)
        if place is not None:
            entry = kept[place]
            entry = entry._replace(amount=entry.amount + amount, left=max(entry.left + left, 0))
            kept[place] = entry if entry.left else entry._replace(expires_at=None)
        elif new:
            kept.append(Entry(at, payment, 1, amount, left, expires_at))
        kept = [entry for entry in kept if entry.amount or entry.left]
        if len(kept) > MAX_ENTRIES:
            kept = [*_merged(kept, payment)]
        return Meter(self.limit, tuple(kept))


def set_limits(meters: Iterable[Meter], limits: Iterable[Limit]) -> tuple[Meter, ...]:
    """With these limits; what has counted towards one that stays still does."""
    before = {meter.limit[:2]: meter.entries for meter in meters}
    return tuple(Meter(limit, before.get(limit[:2], ())) for limit in limits)


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


def _merged(entries: Iterable[Entry], payment: UUID) -> Iterator[Entry]:
    """One a second, but for what is still held and for the payment that is being counted."""
    for _, of_second in groupby(entries, lambda entry: entry.at.replace(microsecond=0)):
        together: list[Entry] = []
        apart: list[Entry] = []
        for entry in of_second:
            own = entry.left or entry.payment == payment
            (apart if own else together).append(entry)
        if together:
            payments = sum(entry.payments for entry in together)
            amount = sum(entry.amount for entry in together)
            apart.append(Entry(together[-1].at, None, payments, amount))
        yield from sorted(apart, key=lambda entry: entry.at)
