"""The ledger folded once more, apart from aggregates and projections, doubting every event."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from psycopg import Connection

from domain.events import (
    AccountChanged,
    AccountClosed,
    AccountDebited,
    AccountEntry,
    AccountFrozen,
    AccountOpened,
    AccountUnfrozen,
    CommandDecided,
    LedgerEvent,
    PaymentDecided,
    PaymentSettled,
)
from domain.ids import account_stream
from domain.times import time_text
from infrastructure.mapper import EventMapper
from infrastructure.reconcile.stored import PAGE, Stored, stored_events

CHUNK: Final = 1_000
"""Positions that payments are compared by: a chunk that differs is looked at payment by payment."""

Found = Callable[[str], None]


class Rows(NamedTuple):
    """What the read models must hold for one event of an account."""

    history: tuple[Any, ...]
    entry: tuple[Any, ...] | None
    off: tuple[Any, ...] | None


@dataclass(slots=True)
class AccountReplay:
    """One account's own events, added up again."""

    opened: AccountOpened
    opened_position: int
    overdraft_limit: int | None
    max_balance: int | None
    metadata: dict[str, str]
    status: str = "open"
    version: int = 0
    position: int = 0
    told_position: int = 0
    """Of its last event, or of the record of a command on it."""
    posted: int = 0
    debits: int = 0
    credits: int = 0
    off_debits: int = 0
    off_credits: int = 0
    off_days: dict[date, tuple[int, int]] = field(default_factory=dict)
    doubtful: bool = False
    """After an event that can't be read: what it did is taken from the next one."""
    history_hash: int = 0
    entries_hash: int = 0
    off_hash: int = 0

    @property
    def available(self) -> int | None:
        """Nothing is pending yet: no event of this version holds anything."""
        return None if self.overdraft_limit is None else self.posted + self.overdraft_limit

    def apply(self, position: int, event: LedgerEvent, found: Found) -> Rows:
        """Adds an event up, and says what it tells that isn't so."""
        entry = off = None
        self.version, self.position = event.originator_version, position
        self.told_position = position
        match event:
            case AccountEntry():
                entry, off = self._enter(position, event, found)
            case AccountChanged():
                for name, value in event.changed.items():
                    setattr(self, name, value)
            case AccountFrozen():
                self.status = "frozen"
            case AccountUnfrozen():
                self.status = "open"
            case AccountClosed():
                self.status = "closed"
            case AccountOpened():
                pass
            case _:
                found(f"event {position}: {event.TOPIC} is no event of an account")
        history = (position, self.version, self.posted, 0, 0, self.available)
        self.history_hash = hash((self.history_hash, history))
        if entry:
            self.entries_hash = hash((self.entries_hash, entry))
        if off:
            self.off_hash = hash((self.off_hash, off))
        return Rows(history, entry, off)

    def _enter(
        self, position: int, event: AccountEntry, found: Found
    ) -> tuple[tuple[Any, ...], tuple[Any, ...] | None]:
        debit, amount = isinstance(event, AccountDebited), event.amount_minor
        lowers = debit == (self.opened.normal_side == "credit")
        posted = self.posted + (-amount if lowers else amount)
        if self.doubtful:
            posted, self.doubtful = event.posted, False
        told = (event.posted, event.pending_debit, event.pending_credit)
        if told != (posted, 0, 0):
            found(
                f"event {position}: posted, pending_debit, pending_credit {told} of"
                f" {event.account}, should be {(posted, 0, 0)}"
            )
        self.posted = event.posted
        if event.available != self.available:
            found(
                f"event {position}: available {event.available} of {event.account}, should be"
                f" {self.available}"
            )
        if event.currency != self.opened.currency:
            found(f"event {position}: currency {event.currency}, is {self.opened.currency}")
        self.debits += amount if debit else 0
        self.credits += 0 if debit else amount
        off = None
        if event.value_date != event.timestamp.date():
            debits, credits_ = self.off_days.get(event.value_date, (0, 0))
            sums = (debits + amount, credits_) if debit else (debits, credits_ + amount)
            self.off_days[event.value_date] = sums
            self.off_debits += amount if debit else 0
            self.off_credits += 0 if debit else amount
            off = (position, event.value_date, *sums)
        entry = (
            position,
            event.timestamp,
            event.value_date,
            event.payment,
            "debit" if debit else "credit",
            amount,
            self.posted,
            event.counter_account,
            event.reference,
            *self.totals,
        )
        return entry, off

    @property
    def totals(self) -> tuple[int, int, int, int]:
        return self.debits, self.credits, self.off_debits, self.off_credits

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
            "limits": [],
            "opened_at": time_text(self.opened.timestamp),
        }


def opened_account(position: int, event: AccountOpened) -> AccountReplay:
    return AccountReplay(event, position, event.overdraft_limit, event.max_balance, event.metadata)


class Replay:
    """The whole ledger from position 1 on, as far as it is advanced."""

    def __init__(
        self, connection: Connection[Any], mapper: EventMapper, ledger: str, found: Found
    ) -> None:
        self._connection = connection
        self._mapper = mapper
        self._ledger = ledger
        self._found = found
        self._recorded_at = datetime.min.replace(tzinfo=UTC)
        self._expected: list[tuple[str, bool, int]] = []
        self._command: LedgerEvent | None = None
        self._first_position = 0
        self.position = 0
        self.accounts: dict[str, AccountReplay] = {}
        self.streams: dict[UUID, str] = {}
        self.payments = 0
        self.payment_hashes: dict[int, int] = defaultdict(int)
        self.payment_account_hashes: dict[int, int] = defaultdict(int)
        self.first_positions: dict[date, int] = {}

    def advance(self, to: int, progress: Callable[[int], None] = lambda _: None) -> None:
        for stored in stored_events(self._connection, self._mapper, self.position, to):
            self._take(stored)
            if stored.position % PAGE == 0:
                progress(stored.position)

    def finish(self) -> None:
        """Says what is missing where the store ends."""
        if self._expected:
            self._found(
                f"position {self.position + 1}: the payment of event {self._first_position} lacks"
                f" {len(self._expected)} entries"
            )

    def sums_by_currency(self) -> dict[str, int]:
        """Debit balances less credit balances: zero each, or money came from nowhere."""
        sums: dict[str, int] = defaultdict(int)
        for account in self.accounts.values():
            debit_normal = account.opened.normal_side == "debit"
            sums[account.opened.currency] += account.posted if debit_normal else -account.posted
        return sums

    def _take(self, stored: Stored) -> None:
        position, event, stream, version, recorded_at, reason = stored
        if position != self.position + 1:
            self._found(f"position {self.position + 1}: missing; {position} follows")
        self.position = position
        if recorded_at < self._recorded_at:
            self._found(f"event {position}: recorded {recorded_at}, before the event before it")
        self._recorded_at = recorded_at
        self.first_positions.setdefault(recorded_at.date(), position)
        self._check_version(position, stream, version)
        if event is None:
            self._found(f"event {position}: {reason}")
            if self._expected:
                self._expected.pop(0)
            if stream in self.streams:
                self.accounts[self.streams[stream]].doubtful = True
            return
        self._check_command(position, event)
        match event:
            case PaymentDecided():
                self._begin_payment(position, event)
            case CommandDecided():
                self._check_record(position, event)
            case _:
                self._apply(position, event)

    def _check_version(self, position: int, stream: UUID, version: int) -> None:
        name = self.streams.get(stream)
        expected = 1 if name is None else self.accounts[name].version + 1
        if version != expected:
            self._found(f"event {position}: version {version} of {stream}, should be {expected}")
        if name is not None:
            self.accounts[name].version = version

    def _check_command(self, position: int, event: LedgerEvent) -> None:
        """A command's events are contiguous, of one actor and one time."""
        first = self._command
        if first is None or event.command != first.command:
            if self._expected:
                self._found(
                    f"event {position}: the payment of event {self._first_position} lacks"
                    f" {len(self._expected)} entries"
                )
                self._expected = []
            self._command, self._first_position = event, position
        elif (event.actor, event.timestamp) != (first.actor, first.timestamp):
            self._found(
                f"event {position}: actor or time is another than that of event"
                f" {self._first_position}, of the same command"
            )

    def _begin_payment(self, position: int, event: PaymentDecided) -> None:
        if event.command != event.originator_id:
            self._found(f"event {position}: command {event.command} on the stream of another")
        settled = isinstance(event, PaymentSettled)
        if settled:
            for posting in event.postings:
                self._expected += [
                    (posting.debit, True, posting.amount_minor),
                    (posting.credit, False, posting.amount_minor),
                ]
        self.payments += 1
        chunk = position // CHUNK
        row = hash(payment_row(position, event))
        self.payment_hashes[chunk] = hash((self.payment_hashes[chunk], row))
        for account in payment_accounts(event):
            self.payment_account_hashes[chunk] ^= hash((account, position))

    def _check_record(self, position: int, event: CommandDecided) -> None:
        if event.account is None or event.account_after is None:
            return
        account = self.accounts.get(event.account)
        resource = account.resource() if account else {}
        if account:
            account.told_position = position
        if event.outcome == "accepted" and event.account_after != resource:
            differing = [
                name
                for name in {**resource, **event.account_after}
                if resource.get(name) != event.account_after.get(name)
            ]
            self._found(
                f"event {position}: account_after of {event.account} differs from its events in"
                f" {', '.join(sorted(differing))}"
            )

    def _apply(self, position: int, event: LedgerEvent) -> None:
        name: str = event.account  # type: ignore[attr-defined]  # all that is left are accounts'
        if event.originator_id != account_stream(self._ledger, name):
            self._found(f"event {position}: {name} is not the account of its stream")
            name = self.streams.get(event.originator_id, name)
        if isinstance(event, AccountOpened) and name not in self.accounts:
            self.accounts[name] = opened_account(position, event)
            self.streams[event.originator_id] = name
        account = self.accounts.get(name)
        if account is None:
            self._found(f"event {position}: {name} was never opened")
            return
        if isinstance(event, AccountEntry):
            self._check_entry(position, event)
        account.apply(position, event, self._found)

    def _check_entry(self, position: int, event: AccountEntry) -> None:
        """An entry is one leg of a posting, and tells what its payment tells."""
        payment = self._command
        if not self._expected or not isinstance(payment, PaymentSettled):
            self._found(f"event {position}: an entry that no payment asks for")
            return
        account, debit, amount_minor = self._expected.pop(0)
        index = len(payment.postings) - 1 - len(self._expected) // 2
        posting = payment.postings[index]
        told = {
            "account": (event.account, account),
            "side": (isinstance(event, AccountDebited), debit),
            "amount": (event.amount_minor, amount_minor),
            "index": (event.index, index),
            "payment": (event.payment, payment.originator_id),
            "currency": (event.currency, posting.currency),
            "counter_account": (event.counter_account, posting.credit if debit else posting.debit),
            "reference": (event.reference, payment.reference),
            "carrier": (event.carrier, payment.carrier),
            "value_date": (event.value_date, payment.value_date or payment.timestamp.date()),
            "from_hold": (event.from_hold, False),
        }
        for member, (is_, should) in told.items():
            if is_ != should:
                self._found(
                    f"event {position}: {member} {is_}, its payment (event"
                    f" {self._first_position}) has {should}"
                )


def payment_row(position: int, event: PaymentDecided) -> tuple[Any, ...]:
    """What the payments read model must hold of it, apart from its JSON members' order."""
    settled = isinstance(event, PaymentSettled)
    return (
        position,
        event.originator_id,
        position + (2 * len(event.postings) if settled else 0),
        "settled" if settled else "refused",
        event.mode,
        event.carrier,
        event.reference,
        event.value_date or event.timestamp.date(),
        event.timestamp,
        event.postings,
        tuple(sorted(event.metadata.items())),
        tuple(sorted(getattr(event, "refusal", {}).items())),
    )


def payment_accounts(event: PaymentDecided) -> set[str]:
    return {name for posting in event.postings for name in (posting.debit, posting.credit)}
