"""Answers, made of a command's events alone: the first one and every replay are the same."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from domain.account import Account
from domain.events import (
    AccountEntry,
    CommandDecided,
    LedgerEvent,
    PaymentDecided,
    PaymentRefused,
    PaymentSettled,
)
from domain.times import time_text


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
    """That of the command's last event."""
    replayed: bool


def answer(record: Sequence[Recorded], *, replayed: bool) -> Answer:
    """The answer to the command whose events, all and in order, these are."""
    position, last = record[-1]
    first = next(event for _, event in record if event.originator_id == event.command)
    match first:
        case PaymentRefused():
            refusal = {**first.refusal, "payment_id": str(first.originator_id)}
            return Answer({}, refusal, position, replayed)
        case PaymentSettled():
            entries = [event for _, event in record if isinstance(event, AccountEntry)]
            return Answer(_payment(first, entries, position), None, position, replayed)
        case CommandDecided(refusal=None):
            return Answer({**first.account_after, "position": position}, None, position, replayed)
        case CommandDecided():
            return Answer({}, first.refusal, position, replayed)
        case _:
            raise AssertionError(f"{last.TOPIC} is no command's event")


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
        "limits": [],
        "opened_at": time_text(account.created_on),
    }


def record_length(first: LedgerEvent) -> int:
    """How many events from its stream's first on belong to a command: they are contiguous."""
    return 1 + 2 * len(first.postings) if isinstance(first, PaymentSettled) else 1


def _payment(
    payment: PaymentDecided, entries: Sequence[AccountEntry], position: int
) -> dict[str, Any]:
    latest = {entry.account: entry for entry in entries}
    return {
        "id": str(payment.originator_id),
        "state": "settled",
        "mode": payment.mode,
        "postings": [
            {
                "debit": posting.debit,
                "credit": posting.credit,
                "amount": posting.amount_minor,
                "currency": posting.currency,
                "captured": posting.amount_minor,
                "refunded": 0,
            }
            for posting in payment.postings
        ],
        "reference": payment.reference,
        "carrier": payment.carrier,
        "value_date": (payment.value_date or payment.timestamp.date()).isoformat(),
        "metadata": payment.metadata,
        "created_at": time_text(payment.timestamp),
        "hold_expires_at": None,
        "refund_of": None,
        "position": position,
        "balances": [
            {
                "account": entry.account,
                "currency": entry.currency,
                "posted": entry.posted,
                "pending_debit": entry.pending_debit,
                "pending_credit": entry.pending_credit,
                "available": entry.available,
            }
            for entry in latest.values()
        ],
    }
