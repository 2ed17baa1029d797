"""Codes that payers show: what each may be of, found before the ledger decides."""

from typing import Any, NamedTuple

from api.code_models import PaymentByCodeBody
from api.models import PaymentBody
from api.parts import Parts
from api.payment_orders import order_by_code, order_of
from api.requests import understood
from application.commands import MakePayment, ShownCode
from domain.order import PaymentOrder


class Asked(NamedTuple):
    """A payment as its members ask for it."""

    order: PaymentOrder
    fingerprint: bytes
    code: str | None = None
    """That names whom it debits; None where the order does."""


def asked_payment(sent: dict[str, Any]) -> Asked:
    """The members of POST /v1/payments, as one or the other model has them. Raises Problem."""
    if sent.get("pay_code") is None:
        body, meaning = understood(sent, PaymentBody, "POST", "/v1/payments")
        return Asked(order_of(body), meaning)
    by_code, meaning = understood(sent, PaymentByCodeBody, "POST", "/v1/payments")
    return Asked(order_by_code(by_code), meaning, by_code.pay_code)


async def payment_command(asked: Asked, parts: Parts, **identity: Any) -> MakePayment:
    """The command, in which a code has become what it may be of. Raises StoreUnavailable."""
    order, fingerprint, code = asked
    shown = None if code is None else await _shown(code, parts)
    return MakePayment(**identity, fingerprint=fingerprint, order=order, shown=shown)


async def _shown(text: str, parts: Parts) -> ShownCode:
    if (at_once := shown_at_once(text, parts)) is not None:
        return at_once
    by_device = await parts.devices.shown(text, parts.clock())
    if by_device is None:
        return ShownCode(pay_codes=parts.pay_codes.streams(text))
    return ShownCode(device=by_device.device, step=by_device.step)


def shown_at_once(text: str, parts: Parts) -> ShownCode | None:
    """Of a text that can be no device's: what it may be needs no question to the store."""
    if parts.devices.may_be_of_one(text):
        return None
    return ShownCode(pay_codes=parts.pay_codes.streams(text))
