"""The events that a payment's own must be followed by, and what each must tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from domain.code_events import PayCodeUsed
from domain.events import (
    AccountChanged,
    AccountClosed,
    AccountCredited,
    AccountDebited,
    AccountFrozen,
    AccountHold,
    AccountOpened,
    AccountUnfrozen,
    CommandDecided,
    LedgerEvent,
    PaymentRefunded,
)
from domain.request_events import PaymentRequestPaid

if TYPE_CHECKING:
    from infrastructure.reconcile.payments import Amounts, PaymentReplay


_NAMES: Final[dict[type[LedgerEvent], str]] = {
    AccountOpened: "open_account",
    AccountChanged: "change_account",
    AccountFrozen: "freeze_account",
    AccountUnfrozen: "unfreeze_account",
    AccountClosed: "close_account",
}
"""Of the commands on accounts that record something of them."""


class Asked(NamedTuple):
    kind: type[LedgerEvent]
    told: dict[str, Any]
    """Values by member."""


def entries(
    payment: PaymentReplay, amounts: Amounts, event: LedgerEvent, *, left: Amounts | None = None
) -> list[Asked]:
    """Entries of these amounts; `left` is what their holds have left, where they have one."""
    more = {
        "from_hold": left is not None,
        "reference": payment.reference,
        "carrier": payment.carrier,
        "value_date": payment.value_date or event.timestamp.date(),
        "hold_expires_at": None if left is None else payment.expires_at,
    }
    return [
        Asked(
            AccountDebited if side == "debit" else AccountCredited,
            {**leg, **more, "hold_left": None if left is None else left[leg["index"]]},
        )
        for side, leg in _legs(payment, amounts)
    ]


def holds(
    payment: PaymentReplay, amounts: Amounts, kind: type[AccountHold], **more: str
) -> list[Asked]:
    """What is held, or held no more, of these amounts."""
    return [
        Asked(kind, {**leg, "side": side, "expires_at": payment.expires_at, **more})
        for side, leg in _legs(payment, amounts)
    ]


def record(payment: PaymentReplay, name: str) -> Asked:
    """The client's command on the payment, recorded under its key."""
    told = {"name": name, "payment": payment.id, "outcome": "accepted"}
    return Asked(CommandDecided, told | dict.fromkeys(("account", "account_after", "refusal")))


def record_of(name: str, *, account: str, **about: UUID) -> Asked:
    """The client's command on what is neither account nor payment, recorded under its key."""
    told = {"name": name, "account": account, "outcome": "accepted", **about}
    others = ("payment", "payment_request", "pay_code", "device", "account_after", "refusal")
    return Asked(CommandDecided, dict.fromkeys(others) | told)


def request_paid(payment: PaymentReplay) -> list[Asked]:
    """Where it pays a payment request: what is told of it on that one's stream."""
    if payment.payment_request is None:
        return []
    amount = payment.postings[0].amount_minor
    told = {"originator_id": payment.payment_request, "payment": payment.id}
    return [Asked(PaymentRequestPaid, {**told, "amount_minor": amount})]


def code_use(payment: PaymentReplay) -> list[Asked]:
    """Where a code named its payer: that it was used."""
    if payment.paid_by is None:
        return []
    amount = payment.postings[0].amount_minor
    told = {"originator_id": payment.paid_by, "payment": payment.id, "amount_minor": amount}
    return [Asked(PayCodeUsed, told)]


def account_record(event: LedgerEvent) -> Asked:
    """The command by which an account was opened or changed."""
    told = {"name": _NAMES[type(event)], "account": getattr(event, "account", None)}
    told |= {"outcome": "accepted"}
    return Asked(CommandDecided, told | dict.fromkeys(("payment", "refusal")))


def refunds(payment: PaymentReplay) -> list[Asked]:
    """Where it is a refund: what is told of it on the stream of the payment that it undoes."""
    if payment.refund_of is None:
        return []
    return [Asked(PaymentRefunded, {"originator_id": payment.refund_of, "refund": payment.id})]


def _legs(payment: PaymentReplay, amounts: Amounts) -> Iterator[tuple[str, dict[str, Any]]]:
    """Both sides of each posting with an amount, the debit first."""
    for index, (posting, amount) in enumerate(zip(payment.postings, amounts, strict=True)):
        if not amount:
            continue
        same = {
            "payment": payment.id,
            "index": index,
            "amount_minor": amount,
            "currency": posting.currency,
        }
        yield "debit", {"account": posting.debit, "counter_account": posting.credit, **same}
        yield "credit", {"account": posting.credit, "counter_account": posting.debit, **same}
