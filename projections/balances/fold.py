"""From events to balances: pure functions over records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from domain.events import (
    AccountChanged,
    AccountClosed,
    AccountEntry,
    AccountFrozen,
    AccountOpened,
    AccountUnfrozen,
    CommandDecided,
    PaymentDecided,
)
from projections.feed import Record


class Balance(NamedTuple):
    """What an account has right after the event at the position, in minor units."""

    position: int
    version: int
    posted: int
    pending_debit: int
    pending_credit: int
    available: int | None
    """None where the overdraft is unlimited."""


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
    history: list[tuple[str, Balance]] = field(default_factory=list)
    """One row for each event on an account, in order of position."""
    current: dict[str, Balance] = field(default_factory=dict)
    """The last of them by account."""

    def add(self, account: str, balance: Balance) -> None:
        self.history.append((account, balance))
        self.current[account] = balance


def needed(records: Iterable[Record]) -> set[str]:
    """Accounts whose `Known` the fold asks for: those with an event that tells no balance."""
    return {
        record.event.account
        for record in records
        if isinstance(
            record.event, AccountChanged | AccountFrozen | AccountUnfrozen | AccountClosed
        )
    }


def fold(records: Iterable[Record], known: Mapping[str, Known]) -> Folded:
    """What the records, in order, make of the balances. Raises LookupError for an unknown
    account, TypeError for an event that this version doesn't know."""
    folded = Folded()
    sides = {account: before.normal_side for account, before in known.items()}
    for position, _, _, event in records:
        version = event.originator_version
        match event:
            case AccountEntry():
                folded.add(
                    event.account,
                    Balance(
                        position,
                        version,
                        event.posted,
                        event.pending_debit,
                        event.pending_credit,
                        event.available,
                    ),
                )
            case PaymentDecided() | CommandDecided():
                pass
            case AccountOpened():
                folded.opened.append(
                    Opened(event.account, event.currency, event.normal_side, position)
                )
                sides[event.account] = event.normal_side
                folded.add(
                    event.account, Balance(position, version, 0, 0, 0, event.overdraft_limit)
                )
            case AccountChanged() | AccountFrozen() | AccountUnfrozen() | AccountClosed():
                before = folded.current.get(event.account) or known[event.account].balance
                balance = before._replace(position=position, version=version)
                if isinstance(event, AccountChanged) and "overdraft_limit" in event.changed:
                    limit = event.changed["overdraft_limit"]
                    balance = balance._replace(
                        available=_available(balance, sides[event.account], limit)
                    )
                folded.add(event.account, balance)
            case _:
                raise TypeError(f"{event.TOPIC} is unknown to balances")
    return folded


def _available(balance: Balance, normal_side: str, overdraft_limit: int | None) -> int | None:
    """posted - pending of the lowering side + overdraft limit (docs/money.md)."""
    if overdraft_limit is None:
        return None
    lowering = balance.pending_debit if normal_side == "credit" else balance.pending_credit
    return balance.posted - lowering + overdraft_limit
