"""An account's holds, folded once more: what each has left, and what they hold together."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from domain.events import AccountHeld, AccountReleased
from infrastructure.reconcile.findings import Found, Row


class HoldKey(NamedTuple):
    payment: UUID
    posting: int
    side: str


@dataclass(slots=True)
class HoldReplay:
    """One side of a held posting."""

    held: AccountHeld
    opened_position: int
    position: int
    captured: int
    left: int
    counts: bool = True
    """Until its deadline."""
    expired: bool = False
    """Whether its deadline ended it, and that is recorded."""

    def row(self) -> Row:
        event = self.held
        return (
            self.opened_position,
            event.payment,
            event.index,
            event.side,
            event.currency,
            event.counter_account,
            event.expires_at,
            event.amount_minor,
            self.captured,
            self.left,
            self.expired,
            self.position,
        )

    def change(self) -> Row:
        return self.position, self.opened_position, self.captured, self.left


@dataclass(slots=True)
class HoldsReplay:
    sums: dict[str, int] = field(default_factory=lambda: {"debit": 0, "credit": 0})
    """By side: what those hold that are before their deadline."""
    rows_hash: int = 0
    """The sum of the hashes of all rows, ended holds' too."""
    _open: dict[HoldKey, HoldReplay] = field(default_factory=dict)
    """Those with something left, swept or not."""
    _deadlines: list[tuple[datetime, HoldKey]] = field(default_factory=list)
    """A heap: of those that count, the next one first."""

    def left(self, key: HoldKey) -> int:
        return self._open[key].left if key in self._open else 0

    def let_expire(self, now: datetime) -> None:
        """What is held counts no more from its deadline on, that very microsecond included."""
        while self._deadlines and self._deadlines[0][0] <= now:
            _, key = heapq.heappop(self._deadlines)
            hold = self._open.get(key)
            if hold is not None:
                hold.counts = False
                self.sums[key.side] -= hold.left

    def hold(self, position: int, key: HoldKey, event: AccountHeld, found: Found) -> HoldReplay:
        if key in self._open:
            found(f"event {position}: it holds what is held already")
        hold = self._open[key] = HoldReplay(event, position, position, 0, event.amount_minor)
        self.sums[key.side] += event.amount_minor
        heapq.heappush(self._deadlines, (event.expires_at, key))
        self.rows_hash += hash(hold.row())
        return hold

    def capture(self, position: int, key: HoldKey, amount: int, found: Found) -> HoldReplay | None:
        """Takes so much off a hold; None where nothing is held."""
        hold = self._open.get(key)
        if hold is None or amount > hold.left:
            found(f"event {position}: it captures {amount} of a hold with {self.left(key)} left")
            return None
        left, captured = hold.left - amount, hold.captured + amount
        return self._changed(position, key, left=left, captured=captured)

    def release(
        self, position: int, key: HoldKey, event: AccountReleased, found: Found
    ) -> HoldReplay | None:
        """Gives back all that is left of a hold; None where nothing is held."""
        if event.amount_minor != self.left(key):
            found(
                f"event {position}: it releases {event.amount_minor} of a hold with"
                f" {self.left(key)} left"
            )
        if key not in self._open:
            return None
        captured = self._open[key].captured
        expired = event.reason == "expired"
        return self._changed(position, key, left=0, captured=captured, expired=expired)

    def _changed(
        self, position: int, key: HoldKey, *, left: int, captured: int, expired: bool = False
    ) -> HoldReplay:
        hold = self._open.pop(key)
        self.rows_hash -= hash(hold.row())
        if hold.counts:
            self.sums[key.side] -= hold.left - left
        hold.position, hold.left, hold.captured, hold.expired = position, left, captured, expired
        self.rows_hash += hash(hold.row())
        if left:
            self._open[key] = hold
        return hold
