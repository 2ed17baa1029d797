"""An event as the auditor sees it: the item of `GET /v1/events`."""

from typing import Any

from domain.events import (
    AccountChanged,
    AccountClosed,
    AccountCredited,
    AccountDebited,
    AccountEntry,
    AccountFrozen,
    AccountOpened,
    AccountUnfrozen,
    CommandDecided,
    LedgerEvent,
    PaymentDecided,
    PaymentRefused,
    PaymentSettled,
)
from domain.times import time_text


def event_item(position: int, event: LedgerEvent) -> dict[str, Any]:
    """The event as JSON members; `stream` and `data` carry names, never internal ids."""
    return {
        "position": position,
        "type": event.TOPIC,
        "stream": stream_name(event),
        "version": event.originator_version,
        "recorded_at": time_text(event.timestamp),
        "actor": event.actor._asdict(),
        "data": _data(event),
    }


def stream_name(event: LedgerEvent) -> str:
    """The id of what the event's stream is of: an account, a payment or a command."""
    account = getattr(event, "account", None)
    if account is None or isinstance(event, CommandDecided):
        return str(event.originator_id)
    return str(account)


def _data(event: LedgerEvent) -> dict[str, Any]:
    match event:
        case AccountDebited() | AccountCredited():
            return _entry(event)
        case PaymentRefused():
            return {**_payment(event, "refused"), "refusal": event.refusal}
        case PaymentSettled():
            return _payment(event, "settled")
        case AccountOpened():
            return {
                "account": event.account,
                "currency": event.currency,
                "normal_side": event.normal_side,
                "overdraft_limit": event.overdraft_limit,
                "max_balance": event.max_balance,
                "metadata": event.metadata,
            }
        case AccountChanged():
            return {"account": event.account, **event.changed}
        case AccountFrozen() | AccountUnfrozen() | AccountClosed():
            return {"account": event.account, "reason": event.reason}
        case CommandDecided():
            return {
                "command": event.name,
                "account": event.account,
                "outcome": event.outcome,
                "refusal": event.refusal,
                "account_after": event.account_after,
            }
        case _:
            raise AssertionError(f"{event.TOPIC} has no item")


def _entry(entry: AccountEntry) -> dict[str, Any]:
    return {
        "account": entry.account,
        "payment": str(entry.payment),
        "index": entry.index,
        "amount": entry.amount_minor,
        "currency": entry.currency,
        "from_hold": entry.from_hold,
        "posted": entry.posted,
        "pending_debit": entry.pending_debit,
        "pending_credit": entry.pending_credit,
        "available": entry.available,
        "value_date": entry.value_date.isoformat(),
        "counter_account": entry.counter_account,
        "reference": entry.reference,
        "carrier": entry.carrier,
    }


def _payment(payment: PaymentDecided, state: str) -> dict[str, Any]:
    return {
        "payment": str(payment.originator_id),
        "state": state,
        "mode": payment.mode,
        "postings": [
            {
                "debit": posting.debit,
                "credit": posting.credit,
                "amount": posting.amount_minor,
                "currency": posting.currency,
            }
            for posting in payment.postings
        ],
        "carrier": payment.carrier,
        "reference": payment.reference,
        "value_date": payment.value_date.isoformat() if payment.value_date else None,
        "metadata": payment.metadata,
    }
