"""Answers, made of a command's events alone: the first one and every replay are the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from domain.account import Account
from domain.aggregate import Subject
from domain.code_events import PayCodeIssued
from domain.confirmation_events import PaymentPending
from domain.device import Device
from domain.events import (
    AccountEntry,
    AccountHold,
    CommandDecided,
    LedgerEvent,
    PaymentRefused,
    PaymentSettled,
)
from domain.pay_code import PayCode
from domain.payment import Payment, account_events, elsewhere
from domain.payment_request import PaymentRequest
from domain.request_events import PaymentRequestOpened
from domain.times import time_text

LONGEST_COMMAND: Final = 500
"""More events than any command has: four for each of MAX_POSTINGS (api/models.py), and a few."""

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
        case CommandDecided(refusal=dict(refused)) as step:
            return Answer({}, {**refused, **_named(step)}, position, replayed)
        case PaymentRefused(refusal=refused):
            told = {**refused, "payment_id": str(first.originator_id)}
            return Answer({}, told, position, replayed)
        case _:
            return Answer(_resource(about, record), None, position, replayed)


def _named(step: CommandDecided) -> dict[str, str]:
    """What a refused step is about, where that is no account."""
    if step.payment:
        return {"payment_id": str(step.payment)}
    about = {"payment_request": step.payment_request, "device": step.device}
    return {name: str(id) for name, id in about.items() if id}


def _resource(about: Subject | None, record: Sequence[Recorded]) -> dict[str, Any]:
    position = record[-1].position
    match about:
        case Payment():
            return payment_resource(about, position) | {"balances": _balances(record)}
        case PaymentRequest():
            return request_resource(about, position)
        case PayCode():
            return pay_code_resource(about, position)
        case Device():
            return device_resource(about, position)
        case _:
            raise AssertionError(f"{type(about).__name__} is no answer")


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
                "debit": posting.debit or None,
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
        "hold_expires_at": payment.hold_expires_at and time_text(payment.hold_expires_at),
        "confirm_expires_at": payment.confirm_expires_at and time_text(payment.confirm_expires_at),
        "refund_of": payment.refund_of and str(payment.refund_of),
        "payment_request": payment.payment_request and str(payment.payment_request),
        "position": position,
    }


def request_resource(request: PaymentRequest, position: int) -> dict[str, Any]:
    """The payment request as answered, but for `url` and `qr_text`: what they take of it is
    `token_key`, which is not shown."""
    return {
        "id": str(request.id),
        "state": request.state,
        "revision": request.revision,
        "credit_account": request.credit_account,
        "amount": request.amount_minor,
        "currency": request.currency,
        "reference": request.reference,
        "description": request.description,
        "metadata": request.metadata,
        "expires_in_s": request.expires_in_s,
        "expires_at": time_text(request.expires_at),
        "token_key": request.token_key,
        "payment_id": request.payment and str(request.payment),
        "created_at": time_text(request.created_on),
        "position": position,
    }


def pay_code_resource(code: PayCode, position: int) -> dict[str, Any]:
    """The pay code as answered, but for its digits."""
    return {
        "id": str(code.id),
        "state": code.state,
        "debit_account": code.debit_account,
        "currency": code.currency,
        "max_amount": code.max_amount_minor,
        "confirm_above": code.confirm_above_minor,
        "expires_at": time_text(code.expires_at),
        "payment_id": code.payment and str(code.payment),
        "created_at": time_text(code.created_on),
        "position": position,
    }


def device_resource(device: Device, position: int) -> dict[str, Any]:
    """The device as answered, but for its secret."""
    return {
        "id": str(device.id),
        "state": device.state,
        "handle": device.handle,
        "debit_account": device.debit_account,
        "currency": device.currency,
        "per_payment_max": device.per_payment_max_minor,
        "offline_total_max": device.offline_total_max_minor,
        "offline_spent": device.offline_spent_minor,
        "created_at": time_text(device.created_on),
        "position": position,
    }


def record_length(first: LedgerEvent) -> int:
    """How many events from its stream's first on belong to a command: they are contiguous."""
    match first:
        case PaymentSettled() | PaymentPending():
            return 1 + account_events(first) + elsewhere(first)
        case PaymentRequestOpened() | PayCodeIssued():
            return 2  # its command's record
        case _:
            return 1 + account_events(first)


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
