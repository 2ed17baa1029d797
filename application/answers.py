"""Answers, made of a command's events alone: the first one and every replay are the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from domain.account import Account
from domain.aggregate import Subject
from domain.events import (
    AccountEntry,
    AccountHold,
    CommandDecided,
    LedgerEvent,
    PaymentRefused,
    PaymentSettled,
)
from domain.payment import Payment, account_events
from domain.times import time_text

_WITH_BALANCES: Final = (AccountEntry, AccountHold)


class Recorded(NamedTuple):
    """An event and its place in the ledger's one order."""

    position: int
    event: LedgerEvent


class Answer(NamedTuple):
    """What a command comes to, once it is in the store."""

    body: dict[str, Any]
    """The account or payment as the API shows it; empty where refused."""
    refusal: dict[str, Any] | None
    """`code` and what it is about: `account`, `index`, `payment_id`."""
    position: int
    """That of the command's last event; of a dry run, what it would be."""
    replayed: bool
    lines: Sequence[Answer | Exception] = ()
    """Of commands that were decided together: each one's, or what it was refused for."""


def answer(record: Sequence[Recorded], about: Subject | None, *, replayed: bool) -> Answer:
    """The answer to the command whose events, all and in order, these are.

    `about` is what it makes or changes besides accounts, as it is right after it.
    """
    position, last = record[-1]
    first = record[0].event
    match last if isinstance(last, CommandDecided) else first:
        case CommandDecided(refusal=None, account_after=dict(account)):
            return Answer({**account, "position": position}, None, position, replayed)
        case CommandDecided(refusal=dict(refused), payment=None):
            return Answer({}, refused, position, replayed)
        case CommandDecided(refusal=dict(refused), payment=payment):
            return Answer({}, {**refused, "payment_id": str(payment)}, position, replayed)
        case PaymentRefused(refusal=refused):
            told = {**refused, "payment_id": str(first.originator_id)}
            return Answer({}, told, position, replayed)
        case _:
            assert isinstance(about, Payment)
            body = payment_resource(about, position) | {"balances": _balances(record)}
            return Answer(body, None, position, replayed)


def account_resource(account: Account) -> dict[str, Any]:
    """The account as answered, but for its position, which the store gives later."""
    return {
        "id": account.account,
        "currency": account.currency,
        "normal_side": account.normal_side,
        "overdraft_limit": account.overdraft_limit,
        "max_balance": account.max_balance,
        "metadata": account.metadata,
        "status": account.status,
        "version": account.version,
        "limits": account.limits,
        "opened_at": time_text(account.created_on),
    }


def payment_resource(payment: Payment, position: int) -> dict[str, Any]:
    """The payment as answered, but for balances; `position` is that of its last event."""
    return {
        "id": str(payment.id),
        "state": payment.state,
        "mode": payment.mode,
        "postings": [
            {
                "debit": posting.debit,
                "credit": posting.credit,
                "amount": posting.amount_minor,
                "currency": posting.currency,
                "captured": captured,
                "refunded": refunded,
            }
            for posting, captured, refunded in zip(
                payment.postings, payment.captured, payment.refunded, strict=True
            )
        ],
        "reference": payment.reference,
        "carrier": payment.carrier,
        "value_date": (payment.value_date or payment.booked_on).isoformat(),
        "metadata": payment.metadata,
        "created_at": time_text(payment.created_on),
        "hold_expires_at": payment.expires_at and time_text(payment.expires_at),
        "refund_of": payment.refund_of and str(payment.refund_of),
        "position": position,
    }


def record_length(first: LedgerEvent) -> int:
    """How many events from its stream's first on belong to a command: they are contiguous."""
    refunds = isinstance(first, PaymentSettled) and first.refund_of is not None
    return 1 + account_events(first) + refunds  # a refund's last event is on its original's stream


def _balances(record: Sequence[Recorded]) -> list[dict[str, Any]]:
    """Of every account concerned, right after the command."""
    latest = {event.account: event for _, event in record if isinstance(event, _WITH_BALANCES)}
    return [
        {
            "account": event.account,
            "currency": event.currency,
            "posted": event.posted,
            "pending_debit": event.pending_debit,
            "pending_credit": event.pending_credit,
            "available": event.available,
        }
        for event in latest.values()
    ]
