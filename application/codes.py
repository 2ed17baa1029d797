"""How commands on pay codes and devices are decided, and payments by a code."""

from __future__ import annotations

from typing import Any

from application.attempts import Attempt
from application.batch import Draft
from application.commands import (
    BringDeviceOnline,
    DeviceCommand,
    ExpirePayCode,
    IssuePayCode,
    MakePayment,
    RegisterDevice,
    RevokeDevice,
    ShownCode,
)
from domain import code_decisions
from domain.checks import check_times
from domain.code_decisions import Payer
from domain.device import Device
from domain.pay_code import PayCode
from domain.refusals import AccountUnknown, NotFound, Refused


def decide(
    command: IssuePayCode | ExpirePayCode | RegisterDevice | DeviceCommand, draft: Draft
) -> None:
    match command:
        case IssuePayCode():
            _issue_pay_code(command, draft)
        case ExpirePayCode():
            _expire_pay_code(command, draft)
        case RegisterDevice():
            _register_device(command, draft)
        case BringDeviceOnline() | RevokeDevice():
            _change_device(command, draft)
        case _:
            raise AssertionError(f"no rule decides {type(command).__name__}")


def pay_by_code(command: MakePayment, shown: ShownCode, draft: Draft) -> None:
    check_times(command.order, draft.now)  # first: what isn't decided uses no attempt up
    attempt = Attempt(
        command.id,
        command.fingerprint,
        command.actor.caller,
        command.order.postings[0].credit,
        draft.now,
    )
    draft.attempts.check(attempt)
    payer = _payer(shown, draft)
    if payer is None or (isinstance(payer, Device) and shown.step is None):
        draft.attempts.count(attempt)
    names = {*command.account_ids(), *(payer.concerned if payer else ())}
    payment, draft.events = code_decisions.pay(
        command.order,
        payer,
        draft.accounts_of(names),
        step=shown.step,
        payment=command.id,
        fingerprint=command.fingerprint,
        actor=command.actor,
        now=draft.now,
    )
    if payer:
        draft.subjects[payer.id] = payer
    draft.is_about(payment)


def _issue_pay_code(command: IssuePayCode, draft: Draft) -> None:
    """The code has a stream of its own: the command's says that it was issued."""
    assert draft.subject(command.pay_code, PayCode) is None, "two commands have the same digits"
    refused = _refusal(command, draft)
    if refused is None:
        code = PayCode.issue(
            stream=command.pay_code,
            command=command.id,
            actor=command.actor,
            now=draft.now,
            debit_account=command.account,
            currency=command.currency,
            max_amount_minor=command.max_amount_minor,
            confirm_above_minor=command.confirm_above_minor,
            expires_in_s=command.expires_in_s,
        )
        draft.events += code.collect()
        draft.is_about(code)
    draft.record(
        "issue_pay_code",
        command,
        refused=refused,
        account=command.account,
        pay_code=None if refused else command.pay_code,
    )


def _expire_pay_code(command: ExpirePayCode, draft: Draft) -> None:
    """The ledger's own: what a client can't ask for, and needs no key."""
    code = draft.subject(command.pay_code, PayCode)
    if code is None:
        raise NotFound
    code.expire(command=command.id, actor=command.actor, now=draft.now)
    draft.events = code.collect()
    draft.is_about(code)


def _register_device(command: RegisterDevice, draft: Draft) -> None:
    refused = _refusal(command, draft)
    if refused:
        return draft.record("register_device", command, refused=refused, account=command.account)
    device = Device.register(
        stream=command.id,
        fingerprint=command.fingerprint,
        actor=command.actor,
        now=draft.now,
        debit_account=command.account,
        currency=command.currency,
        handle=command.handle,
        per_payment_max_minor=command.per_payment_max_minor,
        offline_total_max_minor=command.offline_total_max_minor,
    )
    draft.events += device.collect()
    draft.is_about(device)


def _change_device(command: BringDeviceOnline | RevokeDevice, draft: Draft) -> None:
    device = draft.subject(command.device, Device)
    if device is None:
        raise NotFound
    by: dict[str, Any] = {"command": command.id, "actor": command.actor, "now": draft.now}
    name, change = {
        BringDeviceOnline: ("bring_device_online", device.be_online),
        RevokeDevice: ("revoke_device", device.revoke),
    }[type(command)]
    refused = None
    try:
        change(**by)
    except Refused as refusal:
        refused = refusal
    draft.events += device.collect()
    draft.is_about(device)
    draft.record(name, command, refused=refused, account=device.debit_account, device=device.id)


def _payer(shown: ShownCode, draft: Draft) -> Payer | None:
    if shown.device is not None:
        return draft.subject(shown.device, Device)
    codes = (draft.subject(stream, PayCode) for stream in shown.pay_codes)
    return next((code for code in codes if code), None)


def _refusal(command: IssuePayCode | RegisterDevice, draft: Draft) -> Refused | None:
    """Why nothing can be debited from the account, whoever shows what."""
    account = draft.account(command.account)
    if account is None:
        return AccountUnknown(account=command.account)
    try:
        account.accept(command.currency, frozen_too=False)
    except Refused as refused:
        return refused
    return None
