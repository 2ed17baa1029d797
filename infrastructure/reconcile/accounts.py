"""One account folded once more from its own events, doubting what each tells of balances."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple

from domain.events import (
    AccountChanged,
    AccountClosed,
    AccountDebited,
    AccountEntry,
    AccountFrozen,
    AccountHeld,
    AccountHold,
    AccountOpened,
    AccountReleased,
    AccountUnfrozen,
    LedgerEvent,
)
from domain.times import time_text
from infrastructure.reconcile.findings import Found, Row
from infrastructure.reconcile.holds import HoldKey, HoldReplay, HoldsReplay

Rows = dict[str, Row]
"""By table: the row that a read model must hold for an event of an account."""


class Balances(NamedTuple):
    posted: int
    pending_debit: int
    pending_credit: int


@dataclass(slots=True)
class AccountReplay:
    """One account's own events, added up again."""

    opened: AccountOpened
    opened_position: int
    overdraft_limit: int | None
    max_balance: int | None
    metadata: dict[str, str]
    balanced_at: datetime
    """The recorded time that the balances were told at."""
    limits: list[dict[str, Any]] = field(default_factory=list)
    status: str = "open"
    version: int = 0
    position: int = 0
    told_position: int = 0
    """Of its last event, or of the record of a command on it."""
    told: Balances = field(default_factory=lambda: Balances(0, 0, 0))
    """As the last event told them."""
    debits: int = 0
    credits: int = 0
    off_debits: int = 0
    off_credits: int = 0
    off_days: dict[date, tuple[int, int]] = field(default_factory=dict)
    doubtful: bool = False
    """After an event that can't be read: what it did is taken from the next one."""
    hashes: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """By table: the sum of its rows' hashes."""
    holds: HoldsReplay = field(default_factory=HoldsReplay)

    @property
    def posted(self) -> int:
        return self.told.posted

    @property
    def available(self) -> int | None:
        """As of `balanced_at`, with the limit of now."""
        if self.overdraft_limit is None:
            return None
        lowered_by_debits = self.opened.normal_side == "credit"
        lowering = self.told.pending_debit if lowered_by_debits else self.told.pending_credit
        return self.told.posted - lowering + self.overdraft_limit

    @property
    def totals(self) -> tuple[int, int, int, int]:
        return self.debits, self.credits, self.off_debits, self.off_credits

    def apply(self, position: int, event: LedgerEvent, found: Found) -> Rows:
        """Adds an event up, and says what it tells that isn't so."""
        rows: Rows = {}
        self.version, self.position = event.originator_version, position
        self.told_position = position
        match event:
            case AccountEntry():
                rows = self._enter(position, event, found)
            case AccountHold():
                rows = self._hold_or_release(position, event, found)
            case AccountChanged():
                for name, value in event.changed.items():
                    setattr(self, name, value)
            case AccountFrozen() | AccountUnfrozen():
                self.status = "frozen" if isinstance(event, AccountFrozen) else "open"
            case AccountClosed():
                self._close(position, event, found)
            case AccountOpened():
                pass
            case _:
                found(f"event {position}: {event.TOPIC} is no event of an account")
        rows["balances_history"] = (
            position,
            self.version,
            *self.told,
            self.available,
            self.balanced_at,
        )
        for table, row in rows.items():
            if table != "balances_holds":
                self.hashes[table] += hash(row)
        self.hashes["balances_holds"] = self.holds.rows_hash
        return rows

    def resource(self) -> dict[str, Any]:
        """The account as a command's record must tell it."""
        return {
            "id": self.opened.account,
            "currency": self.opened.currency,
            "normal_side": self.opened.normal_side,
            "overdraft_limit": self.overdraft_limit,
            "max_balance": self.max_balance,
            "metadata": self.metadata,
            "status": self.status,
            "version": self.version,
            "limits": self.limits,
            "opened_at": time_text(self.opened.timestamp),
        }

    def _close(self, position: int, event: AccountClosed, found: Found) -> None:
        self.holds.let_expire(event.timestamp)
        if self.posted or any(self.holds.sums.values()):
            found(f"event {position}: {event.account} is closed, and isn't empty")
        self.status = "closed"

    def _enter(self, position: int, event: AccountEntry, found: Found) -> Rows:
        debit, amount = isinstance(event, AccountDebited), event.amount_minor
        side = "debit" if debit else "credit"
        lowers = debit == (self.opened.normal_side == "credit")
        posted = self.posted + (-amount if lowers else amount)
        self.holds.let_expire(event.timestamp)
        rows: Rows = {}
        if event.from_hold:
            key = HoldKey(event.payment, event.index, side)
            rows = _changed(self.holds.capture(position, key, amount, found))
        self._tell(position, event, posted, found)
        self.debits += amount if debit else 0
        self.credits += 0 if debit else amount
        if event.value_date != event.timestamp.date():
            debits, credits_ = self.off_days.get(event.value_date, (0, 0))
            sums = (debits + amount, credits_) if debit else (debits, credits_ + amount)
            self.off_days[event.value_date] = sums
            self.off_debits += amount if debit else 0
            self.off_credits += 0 if debit else amount
            rows["statements_off_days"] = (position, event.value_date, *sums)
        rows["statements"] = (
            position,
            event.timestamp,
            event.value_date,
            event.payment,
            side,
            amount,
            self.posted,
            event.counter_account,
            event.reference,
            *self.totals,
        )
        return rows

    def _hold_or_release(self, position: int, event: AccountHold, found: Found) -> Rows:
        self.holds.let_expire(event.timestamp)
        key = HoldKey(event.payment, event.index, event.side)
        hold = None
        if isinstance(event, AccountHeld):
            hold = self.holds.hold(position, key, event, found)
        elif isinstance(event, AccountReleased):
            hold = self.holds.release(position, key, event, found)
        self._tell(position, event, self.posted, found)
        return _changed(hold)

    def _tell(
        self, position: int, event: AccountEntry | AccountHold, posted: int, found: Found
    ) -> None:
        """Compares what the event tells, and takes it over: one fault is named once."""
        told = Balances(event.posted, event.pending_debit, event.pending_credit)
        if self.doubtful:
            posted, self.doubtful = told.posted, False
            self.holds.sums = {"debit": told.pending_debit, "credit": told.pending_credit}
        should = Balances(posted, self.holds.sums["debit"], self.holds.sums["credit"])
        if told != should:
            found(
                f"event {position}: posted, pending_debit, pending_credit {tuple(told)} of"
                f" {event.account}, should be {tuple(should)}"
            )
        self.told, self.balanced_at = told, event.timestamp
        if event.available != self.available:
            found(
                f"event {position}: available {event.available} of {event.account}, should be"
                f" {self.available}"
            )
        if event.currency != self.opened.currency:
            found(f"event {position}: currency {event.currency}, is {self.opened.currency}")


def opened_account(position: int, event: AccountOpened) -> AccountReplay:
    return AccountReplay(
        event,
        position,
        event.overdraft_limit,
        event.max_balance,
        event.metadata,
        event.timestamp,
    )


def _changed(hold: HoldReplay | None) -> Rows:
    if hold is None:
        return {}
    return {"balances_holds": hold.row(), "balances_holds_history": hold.change()}
