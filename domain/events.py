"""What the ledger records of accounts, payments and commands, each event with its permanent topic.

A topic, and the order of an event's fields, are for ever: stored payloads are JSON arrays of
the fields in the order they stand here (see infrastructure/mapper.py). A new field goes to the
end and has a default; anything else is a new topic (`.v2`) with an upcaster. Golden files guard
it. Every event there is, those of other files too, is in domain/registry.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar, Literal, NamedTuple
from uuid import UUID

from eventsourcing.domain import AggregateEvent, BaseAggregate
from eventsourcing.utils import resolve_topic

NormalSide = Literal["credit", "debit"]
Side = Literal["debit", "credit"]
Status = Literal["open", "frozen", "closed"]
Metadata = dict[str, str]


class Actor(NamedTuple):
    """Who caused an event."""

    caller: str
    """The named holder of an API key (`tally keys create --name`)."""
    key_id: str
    request_id: str


class Posting(NamedTuple):
    """An amount moved from the account it debits to the account it credits; always positive."""

    debit: str
    credit: str
    amount_minor: int
    currency: str


def accounts_of(postings: Iterable[Posting]) -> set[str]:
    """All that they move money of; one that isn't known yet is left out."""
    return {name for posting in postings for name in posting[:2] if name}


class Leg(NamedTuple):
    """One side of a posting: what a payment does on one account."""

    payment: UUID
    number: int
    """Of the posting in its payment, from 0."""
    side: Side
    posting: Posting

    @property
    def account(self) -> str:
        return self.posting.debit if self.side == "debit" else self.posting.credit

    @property
    def counter_account(self) -> str:
        return self.posting.credit if self.side == "debit" else self.posting.debit


class Condition(NamedTuple):
    """What must be so of an account for a payment to be decided."""

    account: str
    what: str
    """`posted`, `available` or `version`."""
    op: str
    """`eq`, `gt`, `gte`, `lt` or `lte`."""
    value: str
    """An integer of any size, in decimal digits."""


@dataclass(frozen=True)
class LedgerEvent(AggregateEvent):
    """What all events have in common; `timestamp` (the library's name) is the recorded time."""

    TOPIC: ClassVar[str]

    command: UUID
    """Stream of the command it belongs to; a command's events are contiguous."""
    actor: Actor

    def apply(self, aggregate: Any) -> None:
        aggregate.evolve(self)


@dataclass(frozen=True)
class FirstEvent(LedgerEvent):
    """An event that can begin a stream: applied to nothing, it makes the aggregate."""

    AGGREGATE: ClassVar[str]
    """Topic of the aggregate it makes."""

    def mutate(self, aggregate: Any) -> Any:
        if aggregate is not None:
            return super().mutate(aggregate)
        made: BaseAggregate[UUID] = object.__new__(resolve_topic(self.AGGREGATE))
        made.__base_init__(self.originator_id, self.originator_version, self.timestamp)
        self.apply(made)
        return made


# Accounts ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class AccountOpened(FirstEvent):
    TOPIC = "tally.account.opened.v1"
    AGGREGATE = "tally.account"

    account: str
    currency: str
    normal_side: NormalSide
    overdraft_limit: int | None
    """Minor units; None is unlimited."""
    max_balance: int | None
    """Minor units; None is no maximum."""
    metadata: Metadata


@dataclass(frozen=True)
class AccountChanged(LedgerEvent):
    TOPIC = "tally.account.changed.v1"

    account: str
    changed: dict[str, Any]
    """New values of what changed: `overdraft_limit`, `max_balance`, `metadata`, `limits` (each
    `window`, `carrier`, `max_count`, `max_amount`)."""


@dataclass(frozen=True)
class AccountFrozen(LedgerEvent):
    TOPIC = "tally.account.frozen.v1"

    account: str
    reason: str


@dataclass(frozen=True)
class AccountUnfrozen(LedgerEvent):
    TOPIC = "tally.account.unfrozen.v1"

    account: str
    reason: str


@dataclass(frozen=True)
class AccountClosed(LedgerEvent):
    TOPIC = "tally.account.closed.v1"

    account: str
    reason: str


@dataclass(frozen=True)
class AccountEntry(LedgerEvent):
    """One side of a posting, with the account's balances right after it."""

    side: ClassVar[Side]

    account: str
    payment: UUID
    index: int
    """Number of the posting in its payment, from 0."""
    amount_minor: int
    currency: str
    from_hold: bool
    posted: int
    pending_debit: int
    pending_credit: int
    available: int | None
    """None where the overdraft limit is unlimited."""
    value_date: date
    counter_account: str
    reference: str | None
    carrier: str
    hold_left: int | None = None
    """What is still held of the hold it came from, in minor units; None where `from_hold` isn't."""
    hold_expires_at: datetime | None = None
    """The deadline of that hold."""


@dataclass(frozen=True)
class AccountDebited(AccountEntry):
    TOPIC = "tally.account.debited.v1"
    side = "debit"


@dataclass(frozen=True)
class AccountCredited(AccountEntry):
    TOPIC = "tally.account.credited.v1"
    side = "credit"


@dataclass(frozen=True)
class AccountHold(LedgerEvent):
    """One side of a held posting, with the account's balances right after it.

    What is pending is as of the recorded time: holds past their deadline are left out.
    """

    account: str
    payment: UUID
    index: int
    """Number of the posting in its payment, from 0."""
    side: Side
    amount_minor: int
    """Held, or no longer held."""
    currency: str
    posted: int
    pending_debit: int
    pending_credit: int
    available: int | None
    """None where the overdraft limit is unlimited."""
    expires_at: datetime
    """From this very microsecond on it is not held any more."""
    counter_account: str


@dataclass(frozen=True)
class AccountHeld(AccountHold):
    TOPIC = "tally.account.held.v1"

    carrier: str


@dataclass(frozen=True)
class AccountReleased(AccountHold):
    """All that was left of the hold."""

    TOPIC = "tally.account.released.v1"

    reason: Literal["captured", "voided", "expired", "declined", "canceled"]
    """`captured`: the last capture took less than was left."""


# Payments ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class PaymentDecided(FirstEvent):
    """A payment's first event: the request's fingerprint, and the payment as it was asked for."""

    AGGREGATE = "tally.payment"

    fingerprint: bytes
    """SHA-256 of the request's meaning (32 bytes)."""
    postings: tuple[Posting, ...]
    mode: str
    carrier: str
    reference: str | None
    value_date: date | None
    """As sent; None is the day each entry is booked."""
    metadata: Metadata


@dataclass(frozen=True)
class PaymentSettled(PaymentDecided):
    """The first event of its stream, or what became of a scheduled payment."""

    TOPIC = "tally.payment.settled.v1"

    refund_of: UUID | None = None
    payment_request: UUID | None = None
    """The one that it pays."""
    paid_by: UUID | None = None
    """The pay code, or the device whose code it was, that named the payer."""


@dataclass(frozen=True)
class PaymentRefused(PaymentDecided):
    """The first event of its stream, or what became of a scheduled payment.

    A posting whose amount was never found has 0; one whose payer a code should have named, and
    didn't, debits the account "".
    """

    TOPIC = "tally.payment.refused.v1"

    refusal: dict[str, Any]
    """`code`, and what it is about: `account`, `index` of the posting or condition from 0."""
    refund_of: UUID | None = None
    payment_request: UUID | None = None
    """The one that it was to pay."""
    paid_by: UUID | None = None
    """The live pay code, or the device, that it was tried with."""


@dataclass(frozen=True)
class PaymentHeld(PaymentDecided):
    TOPIC = "tally.payment.held.v1"

    expires_at: datetime


@dataclass(frozen=True)
class PaymentScheduled(PaymentDecided):
    """To be decided at its time; `postings` have 0 where `up_to` says how much to look for."""

    TOPIC = "tally.payment.scheduled.v1"

    execute_at: datetime
    conditions: tuple[Condition, ...]
    up_to: tuple[int, ...]
    """By posting: at most so much of what the account has then; 0 where the amount is fixed."""


@dataclass(frozen=True)
class PaymentCaptured(LedgerEvent):
    TOPIC = "tally.payment.captured.v1"

    amounts: tuple[int, ...]
    """Captured now, by posting, in minor units."""
    released: tuple[int, ...]
    """What the last capture left, by posting."""
    final: bool
    """Whether it was the last one: the payment is settled."""


@dataclass(frozen=True)
class PaymentVoided(LedgerEvent):
    TOPIC = "tally.payment.voided.v1"

    released: tuple[int, ...]
    """What was left, by posting."""


@dataclass(frozen=True)
class PaymentExpired(LedgerEvent):
    """Records what has been so since the deadline."""

    TOPIC = "tally.payment.expired.v1"

    released: tuple[int, ...]
    """What was left, by posting."""


@dataclass(frozen=True)
class PaymentRefunded(LedgerEvent):
    """On the stream of the payment that a refund undoes, in part or whole."""

    TOPIC = "tally.payment.refunded.v1"

    amounts: tuple[int, ...]
    """Refunded now, by posting of the original, in minor units."""
    refund: UUID
    """The payment that moved it back."""


@dataclass(frozen=True)
class PaymentCanceled(LedgerEvent):
    TOPIC = "tally.payment.canceled.v1"

    released: tuple[int, ...] | None = None
    """What was held to be confirmed, by posting; None of a scheduled one, which held nothing."""


# Commands that make no payment ------------------------------------------------------------


@dataclass(frozen=True)
class CommandDecided(FirstEvent):
    """The only event of a command's own stream; recorded also where nothing changed."""

    TOPIC = "tally.command.decided.v1"
    AGGREGATE = "tally.command"

    fingerprint: bytes
    name: str
    """`open_account`, `change_account`, `freeze_account`, `unfreeze_account`, `close_account`,
    `capture_payment`, `void_payment`, `cancel_payment`, `confirm_payment`, `decline_payment`,
    `open_payment_request`, `change_payment_request`, `cancel_payment_request`,
    `pay_payment_request`, `issue_pay_code`, `register_device`, `bring_device_online`,
    `revoke_device`."""
    account: str | None
    """None where it is about a payment; that which a payment request credits, and that which a pay
    code or device debits."""
    outcome: Literal["accepted", "refused"]
    refusal: dict[str, Any] | None
    account_after: dict[str, Any] | None
    """The account as answered: what the first answer and every replay of it show."""
    payment: UUID | None = None
    """The payment it is about."""
    payment_request: UUID | None = None
    """The payment request it is about; None where it was refused to open one."""
    pay_code: UUID | None = None
    """The pay code that it made."""
    device: UUID | None = None
    """The device it is about."""
