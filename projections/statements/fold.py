"""From events to statement entries: pure functions over records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final, NamedTuple
from uuid import UUID

from domain.code_events import CodeEvent
from domain.events import (
    AccountChanged,
    AccountClosed,
    AccountDebited,
    AccountEntry,
    AccountFrozen,
    AccountHold,
    AccountOpened,
    AccountUnfrozen,
    CommandDecided,
    PaymentDecided,
)
from domain.payment import PaymentStep
from domain.request_events import PaymentRequestEvent
from projections.feed import Record

LEFT_OUT = (
    PaymentDecided
    | CommandDecided
    | AccountHold
    | AccountChanged
    | AccountFrozen
    | AccountUnfrozen
    | AccountClosed
    | PaymentStep
    | PaymentRequestEvent
    | CodeEvent
)
"""Types of events that it makes nothing of; one that it doesn't know is an error."""


class Sums(NamedTuple):
    """Debits and credits of some entries, in minor units."""

    debits: int
    credits: int

    def plus(self, amount_minor: int, *, debit: bool) -> Sums:
        if debit:
            return Sums(self.debits + amount_minor, self.credits)
        return Sums(self.debits, self.credits + amount_minor)


NOTHING: Final = Sums(0, 0)


class Totals(NamedTuple):
    """Sums of an account's entries so far: of all of them, and of those that are off."""

    debits: int
    credits: int
    off_debits: int
    off_credits: int


Day = tuple[str, date]
"""An account and a value date."""


class Entry(NamedTuple):
    """As it is written; with the account's totals up to it."""

    account: str
    position: int
    recorded_at: datetime
    value_date: date
    payment: UUID
    side: str
    amount_minor: int
    balance: int
    counter_account: str
    reference: str | None
    debits: int
    credits: int
    off_debits: int
    off_credits: int


class Opened(NamedTuple):
    account: str
    currency: str
    normal_side: str
    position: int


@dataclass(slots=True)
class Folded:
    """What a batch adds and changes."""

    opened: list[Opened] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    off: list[tuple[Day, int, Sums]] = field(default_factory=list)
    """Of each off entry: its day, its position, the day's sums up to it."""
    first_positions: dict[date, int] = field(default_factory=dict)
    """By booking date: the position of its first entry in this batch."""


def is_off(entry: AccountEntry) -> bool:
    """Whether the entry counts for another day than the one it is booked on."""
    return entry.value_date != entry.timestamp.date()


def needed(records: Iterable[Record]) -> tuple[set[str], set[Day]]:
    """Accounts and days of off entries whose sums before the batch the fold asks for."""
    accounts: set[str] = set()
    days: set[Day] = set()
    for record in records:
        event = record.event
        if isinstance(event, AccountEntry):
            accounts.add(event.account)
            if is_off(event):
                days.add((event.account, event.value_date))
    return accounts, days


def fold(
    records: Iterable[Record], totals: Mapping[str, Totals], days: Mapping[Day, Sums]
) -> Folded:
    """What the records, in order, add to the statements.

    `totals` holds every account of the batch that was opened before it, `days` the days of off
    entries that had one before. Raises LookupError for an entry of an account never opened,
    TypeError for an event that this version doesn't know.
    """
    folded = Folded()
    running, off_days = dict(totals), dict(days)
    for position, _, _, event in records:
        match event:
            case AccountEntry():
                account, amount = event.account, event.amount_minor
                folded.first_positions.setdefault(event.timestamp.date(), position)
                debit = isinstance(event, AccountDebited)
                debits, credits_, off_debits, off_credits = running[account]
                if debit:
                    debits += amount
                else:
                    credits_ += amount
                if is_off(event):
                    day = (account, event.value_date)
                    of_day = off_days.get(day, NOTHING).plus(amount, debit=debit)
                    off_days[day] = of_day
                    folded.off.append((day, position, of_day))
                    off_debits, off_credits = Sums(off_debits, off_credits).plus(
                        amount, debit=debit
                    )
                after = Totals(debits, credits_, off_debits, off_credits)
                running[account] = after
                folded.entries.append(
                    Entry(
                        account,
                        position,
                        event.timestamp,
                        event.value_date,
                        event.payment,
                        "debit" if debit else "credit",
                        amount,
                        event.posted,
                        event.counter_account,
                        event.reference,
                        *after,
                    )
                )
            case AccountOpened():
                folded.opened.append(
                    Opened(event.account, event.currency, event.normal_side, position)
                )
                running[event.account] = Totals(0, 0, 0, 0)
            case _ if isinstance(event, LEFT_OUT):
                pass
            case _:
                raise TypeError(f"{event.TOPIC} is unknown to statements")
    return folded
