"""Every event the ledger records, each with its permanent topic.

A topic, and the order of an event's fields, are for ever: stored payloads are JSON arrays of
the fields in the order they stand here (see infrastructure/mapper.py). A new field goes to the
end and has a default; anything else is a new topic (`.v2`) with an upcaster. Golden files guard
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar, Final, Literal, NamedTuple
from uuid import UUID

from eventsourcing.domain import AggregateEvent, BaseAggregate
from eventsourcing.utils import register_topic, resolve_topic

NormalSide = Literal["credit", "debit"]
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
    """An event that begins a stream: applied to nothing, it makes the aggregate."""

    AGGREGATE: ClassVar[str]
    """Topic of the aggregate it makes."""

    def mutate(self, aggregate: Any) -> Any:
        assert aggregate is None, "a stream begins once"
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
    """New values of what changed: `overdraft_limit`, `max_balance`, `metadata`."""


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


@dataclass(frozen=True)
class AccountDebited(AccountEntry):
    TOPIC = "tally.account.debited.v1"


@dataclass(frozen=True)
class AccountCredited(AccountEntry):
    TOPIC = "tally.account.credited.v1"


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
    TOPIC = "tally.payment.settled.v1"


@dataclass(frozen=True)
class PaymentRefused(PaymentDecided):
    TOPIC = "tally.payment.refused.v1"

    refusal: dict[str, Any]
    """`code`, and what it is about: `account`, `index` of the posting from 0."""


# Commands that make no payment ------------------------------------------------------------


@dataclass(frozen=True)
class CommandDecided(FirstEvent):
    """The only event of a command's own stream; recorded also where nothing changed."""

    TOPIC = "tally.command.decided.v1"
    AGGREGATE = "tally.command"

    fingerprint: bytes
    name: str
    """`open_account`, `change_account`, `freeze_account`, `unfreeze_account`, `close_account`."""
    account: str
    outcome: Literal["accepted", "refused"]
    refusal: dict[str, Any] | None
    account_after: dict[str, Any]
    """The account as answered: what the first answer and every replay of it show."""


EVENTS: Final[dict[str, type[LedgerEvent]]] = {
    event.TOPIC: event
    for event in (
        AccountOpened,
        AccountChanged,
        AccountFrozen,
        AccountUnfrozen,
        AccountClosed,
        AccountDebited,
        AccountCredited,
        PaymentSettled,
        PaymentRefused,
        CommandDecided,
    )
}
"""The closed registry: a stored topic that is not here is not loaded."""

for _topic, _event in EVENTS.items():
    register_topic(_topic, _event)
