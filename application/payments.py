"""How commands on payments are decided."""

from typing import Any

from application import codes
from application.batch import Draft
from application.commands import (
    CancelPayment,
    CapturePayment,
    ConfirmPayment,
    DeclinePayment,
    ExecutePayment,
    ExpirePayment,
    MakePayment,
    PaymentCommand,
    RefundPayment,
    VoidPayment,
)
from domain import decisions
from domain.payment import Payment
from domain.refusals import NotFound, Refused


def make_payment(command: MakePayment, draft: Draft) -> None:
    if command.shown is not None:
        return codes.pay_by_code(command, command.shown, draft)
    payment, draft.events = decisions.make(
        command.order,
        draft.accounts_of(command.account_ids()),
        payment=command.id,
        fingerprint=command.fingerprint,
        actor=command.actor,
        now=draft.now,
    )
    draft.is_about(payment)


def refund_payment(command: RefundPayment, draft: Draft) -> None:
    original = _existing(command, draft)
    refund, draft.events = decisions.refund(
        original,
        command.amount_minor,
        draft.accounts_of(original.accounts),
        payment=command.id,
        fingerprint=command.fingerprint,
        actor=command.actor,
        now=draft.now,
    )
    draft.is_about(refund)


PaymentChange = CapturePayment | VoidPayment | CancelPayment | ConfirmPayment | DeclinePayment


def change_payment(command: PaymentChange, draft: Draft) -> None:
    """Steps that a client asks for: each is recorded under its key, last of its events."""
    payment = _existing(command, draft)
    accounts = draft.accounts_of(payment.accounts)
    by: dict[str, Any] = {"command": command.id, "actor": command.actor, "now": draft.now}
    refused = None
    try:
        match command:
            case CapturePayment():
                draft.events = decisions.capture(
                    payment, command.amount_minor, accounts, final=command.final, **by
                )
            case VoidPayment():
                draft.events = decisions.void(payment, accounts, **by)
            case CancelPayment():
                draft.events = decisions.cancel(payment, accounts, **by)
            case ConfirmPayment():
                draft.events = decisions.confirm(payment, accounts, **by)
            case DeclinePayment():
                draft.events = decisions.decline(payment, accounts, **by)
    except Refused as refusal:
        refused = refusal
    name = {
        CapturePayment: "capture_payment",
        VoidPayment: "void_payment",
        CancelPayment: "cancel_payment",
        ConfirmPayment: "confirm_payment",
        DeclinePayment: "decline_payment",
    }[type(command)]
    draft.record(name, command, refused=refused, payment=payment.id)


def do_what_is_due(command: ExpirePayment | ExecutePayment, draft: Draft) -> None:
    """The ledger's own steps: what a client can't ask for, and needs no key."""
    payment = _existing(command, draft)
    decide = decisions.expire if isinstance(command, ExpirePayment) else decisions.execute
    draft.events = decide(
        payment,
        draft.accounts_of(payment.concerned),
        command=command.id,
        actor=command.actor,
        now=draft.now,
    )


def _existing(command: PaymentCommand, draft: Draft) -> Payment:
    payment = draft.subject(command.payment, Payment)
    if payment is None:
        raise NotFound
    draft.is_about(payment)
    return payment
