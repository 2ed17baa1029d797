"""How commands on payment requests are decided."""

from typing import Any

from application.batch import Draft
from application.commands import (
    CancelPaymentRequest,
    ChangePaymentRequest,
    Command,
    ExpirePaymentRequest,
    OpenPaymentRequest,
    PaymentRequestCommand,
    PayPaymentRequest,
)
from domain import decisions
from domain.ids import request_stream
from domain.payment_request import PaymentRequest
from domain.refusals import AccountUnknown, NotFound, Refused


def decide(command: OpenPaymentRequest | PaymentRequestCommand, draft: Draft) -> None:
    match command:
        case OpenPaymentRequest():
            _open(command, draft)
        case ChangePaymentRequest() | CancelPaymentRequest():
            _change(command, draft)
        case PayPaymentRequest():
            _pay(command, draft)
        case ExpirePaymentRequest():
            _expire(command, draft)
        case _:
            raise AssertionError(f"no rule decides {type(command).__name__}")


def _open(command: OpenPaymentRequest, draft: Draft) -> None:
    """A frozen account may have one: until it is paid the account may be unfrozen."""
    name = "open_payment_request"
    account = draft.account(command.credit_account)
    try:
        if account is None:
            raise AccountUnknown(account=command.credit_account)
        account.accept(command.currency, frozen_too=False)
    except Refused as refused:
        return draft.record(name, command, refused=refused, account=command.credit_account)
    request = PaymentRequest.open(
        stream=request_stream(command.id),
        command=command.id,
        actor=command.actor,
        now=draft.now,
        credit_account=command.credit_account,
        amount_minor=command.amount_minor,
        currency=command.currency,
        reference=command.reference,
        description=command.description,
        metadata=command.metadata,
        expires_in_s=command.expires_in_s,
        token_key=command.token_key,
    )
    _changed(name, command, draft, request)


def _change(command: ChangePaymentRequest | CancelPaymentRequest, draft: Draft) -> None:
    request = _existing(command, draft)
    by: dict[str, Any] = {"command": command.id, "actor": command.actor, "now": draft.now}
    changes = isinstance(command, ChangePaymentRequest)
    name = "change_payment_request" if changes else "cancel_payment_request"
    try:
        if isinstance(command, ChangePaymentRequest):
            request.change(command.changes, **by)
        else:
            request.cancel(**by)
    except Refused as refused:
        return _record(name, command, draft, request, refused)
    _changed(name, command, draft, request)


def _pay(command: PayPaymentRequest, draft: Draft) -> None:
    """A payment, under the command's id; where the request itself forbids it, none is made."""
    request = _existing(command, draft)
    try:
        order = request.order(
            command.debit_account,
            revision=command.revision,
            amount_minor=command.amount_minor,
            carrier=command.carrier,
            now=draft.now,
        )
    except Refused as refused:
        return _record("pay_payment_request", command, draft, request, refused)
    payment, draft.events = decisions.pay_request(
        request,
        order,
        draft.accounts_of(order.accounts),
        payment=command.id,
        fingerprint=command.fingerprint,
        actor=command.actor,
        now=draft.now,
    )
    draft.subjects[request.id] = request
    draft.is_about(payment)


def _expire(command: ExpirePaymentRequest, draft: Draft) -> None:
    """The ledger's own step: what a client can't ask for, and needs no key."""
    request = _existing(command, draft)
    request.expire(command=command.id, actor=command.actor, now=draft.now)
    draft.events = request.collect()
    draft.is_about(request)


def _existing(command: PaymentRequestCommand, draft: Draft) -> PaymentRequest:
    request = draft.subject(command.payment_request, PaymentRequest)
    if request is None:
        raise NotFound
    return request


def _changed(name: str, command: Command, draft: Draft, request: PaymentRequest) -> None:
    draft.events = request.collect()
    draft.is_about(request)
    _record(name, command, draft, request)


def _record(
    name: str,
    command: Command,
    draft: Draft,
    request: PaymentRequest,
    refused: Refused | None = None,
) -> None:
    draft.record(
        name,
        command,
        refused=refused,
        account=request.credit_account,
        payment_request=request.id,
    )
