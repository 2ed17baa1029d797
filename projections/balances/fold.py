"""From events to balances: pure functions over records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from domain.code_events import CodeEvent
from domain.events import (
    AccountChanged,
    AccountClosed,
    AccountEntry,
    AccountFrozen,
    AccountHeld,
    AccountOpened,
    AccountReleased,
    AccountUnfrozen,
    CommandDecided,
    PaymentDecided,
)
from domain.payment import PaymentStep
from domain.request_events import PaymentRequestEvent
from projections.feed import Record

LEFT_OUT = PaymentDecided | CommandDecided | PaymentStep | PaymentRequestEvent | CodeEvent
"""Types of events that it makes nothing of; one that it doesn't know is an error."""


class Balance(NamedTuple):
    """What an account has right after the event at the position, in minor units: a row of
    history as it is written."""

    account: str
    position: int
    version: int
    posted: int
    pending_debit: int
    pending_credit: int
    available: int | None
    """None where the overdraft is unlimited."""
    balanced_at: datetime
    """The time that it is told at: holds past their deadline by then are left out."""


class HoldKey(NamedTuple):
    payment: UUID
    posting: int
    """Its number in the payment, from 0."""
    side: str


class Hold(NamedTuple):
    """One side of a held posting, right after the event at the position; in minor units."""

    payment: UUID
    posting: int
    side: str
    account: str
    opened_position: int
    currency: str
    counter_account: str
    expires_at: datetime
    amount_minor: int
    captured: int
    left: int
    expired: bool
    """Whether its deadline ended it, and that is recorded."""
    position: int


class Known(NamedTuple):
    """What the read model holds of an account before the batch."""

    normal_side: str
    balance: Balance


class Opened(NamedTuple):
    account: str
    currency: str
    normal_side: str
    position: int


@dataclass(slots=True)
class Folded:
    """What a batch changes."""

    opened: list[Opened] = field(default_factory=list)
    history: list[Balance] = field(default_factory=list)
    """One row for each event on an account, in order of position."""
    current: dict[str, Balance] = field(default_factory=dict)
    """The last of them by account."""
    holds_history: list[Hold] = field(default_factory=list)
    """One for each event on a hold, in order of position."""
    holds: dict[HoldKey, Hold] = field(default_factory=dict)
    """The last of them by hold."""

    def add(self, balance: Balance) -> None:
        self.history.append(balance)
        self.current[balance.account] = balance

    def add_hold(self, hold: Hold) -> None:
        self.holds_history.append(hold)
        self.holds[HoldKey(*hold[:3])] = hold


def needed(records: Iterable[Record]) -> tuple[set[str], set[HoldKey]]:
    """What the fold asks for of before the batch: accounts with an event that tells no balance,
    and holds that are captured or released."""
    accounts: set[str] = set()
    holds: set[HoldKey] = set()
    for record in records:
        match record.event:
            case AccountEntry() as entry:
                if entry.from_hold:
                    holds.add(_key_of(entry))
            case AccountReleased() as released:
                holds.add(_key_of(released))
            case AccountChanged() | AccountFrozen() | AccountUnfrozen() | AccountClosed() as event:
                accounts.add(event.account)
            case _:
                pass
    return accounts, holds


def fold(
    records: Iterable[Record], known: Mapping[str, Known], holds: Mapping[HoldKey, Hold]
) -> Folded:
    """What the records, in order, make of the balances. Raises LookupError for an unknown
    account or hold, TypeError for an event that this version doesn't know."""
    folded = Folded()
    sides = {account: before.normal_side for account, before in known.items()}
    for position, _, _, event in records:
        version = event.originator_version
        match event:
            case AccountEntry() | AccountHeld() | AccountReleased():
                folded.add(
                    Balance(
                        event.account,
                        position,
                        version,
                        event.posted,
                        event.pending_debit,
                        event.pending_credit,
                        event.available,
                        event.timestamp,
                    ),
                )
                if isinstance(event, AccountHeld):
                    folded.add_hold(_held(event, position))
                elif isinstance(event, AccountReleased) or event.from_hold:
                    key = _key_of(event)
                    folded.add_hold(_moved(folded.holds.get(key) or holds[key], event, position))
            case AccountOpened():
                folded.opened.append(
                    Opened(event.account, event.currency, event.normal_side, position)
                )
                sides[event.account] = event.normal_side
                folded.add(
                    Balance(
                        event.account,
                        position,
                        version,
                        *(0, 0, 0),
                        event.overdraft_limit,
                        event.timestamp,
                    )
                )
            case AccountChanged() | AccountFrozen() | AccountUnfrozen() | AccountClosed():
                before = folded.current.get(event.account) or known[event.account].balance
                balance = before._replace(position=position, version=version)
                if isinstance(event, AccountChanged) and "overdraft_limit" in event.changed:
                    limit = event.changed["overdraft_limit"]
                    balance = balance._replace(
                        available=_available(balance, sides[event.account], limit)
                    )
                folded.add(balance)
            case _ if isinstance(event, LEFT_OUT):
                pass
            case _:
                raise TypeError(f"{event.TOPIC} is unknown to balances")
    return folded


def _key_of(event: AccountEntry | AccountReleased) -> HoldKey:
    return HoldKey(event.payment, event.index, event.side)


def _held(event: AccountHeld, position: int) -> Hold:
    return Hold(
        payment=event.payment,
        posting=event.index,
        side=event.side,
        account=event.account,
        opened_position=position,
        currency=event.currency,
        counter_account=event.counter_account,
        expires_at=event.expires_at,
        amount_minor=event.amount_minor,
        captured=0,
        left=event.amount_minor,
        expired=False,
        position=position,
    )


def _moved(hold: Hold, event: AccountEntry | AccountReleased, position: int) -> Hold:
    """The hold after a capture of it, or the release of what was left."""
    if isinstance(event, AccountReleased):
        return hold._replace(left=0, expired=event.reason == "expired", position=position)
    assert event.hold_left is not None
    captured = hold.amount_minor - event.hold_left
    return hold._replace(captured=captured, left=event.hold_left, position=position)


def _available(balance: Balance, normal_side: str, overdraft_limit: int | None) -> int | None:
    """posted - pending of the lowering side + overdraft limit (docs/money.md)."""
    if overdraft_limit is None:
        return None
    lowering = balance.pending_debit if normal_side == "credit" else balance.pending_credit
    return balance.posted - lowering + overdraft_limit
