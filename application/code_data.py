"""The shape of events of pay codes, of devices, and of payments that wait to be confirmed.

As in application/event_data.py: members added later have a default.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from application.event_members import (
    AccountId,
    Amount,
    Amounts,
    Carrier,
    CodeId,
    Currency,
    DeviceId,
    Mode,
    PaidBy,
    PaymentId,
    PostingData,
    Reference,
    TimeText,
    ValueDateSent,
)
from application.event_members import Metadata as Pairs
from domain.code_events import (
    CodeEvent,
    DeviceOnline,
    DeviceRegistered,
    DeviceRevoked,
    PayCodeExpired,
    PayCodeIssued,
    PayCodeUsed,
)
from domain.times import time_text

OverAt = Annotated[TimeText, Meta(description="From this very microsecond on it is over")]


class PaymentPendingData(Struct, frozen=True):
    """The payment as it was asked for, held until its payer confirms it."""

    payment: PaymentId
    state: Literal["pending_confirmation"]
    mode: Mode
    postings: list[PostingData]
    carrier: Carrier
    reference: Reference
    value_date: ValueDateSent
    metadata: Pairs
    expires_at: OverAt
    paid_by: PaidBy | UnsetType = UNSET


class PaymentConfirmedData(Struct, frozen=True):
    """The payer agreed: what was held is booked."""

    payment: PaymentId
    amounts: Amounts


class PayCodeIssuedData(Struct, frozen=True):
    """A payer may show a code, once. The code itself is nowhere."""

    pay_code: CodeId
    debit_account: AccountId
    currency: Currency
    max_amount: Amount
    confirm_above: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="Minor units; more waits for the payer; null: nothing does"),
    ]
    expires_at: OverAt


class PayCodeUsedData(Struct, frozen=True):
    """A code named the payer of a payment: a pay code, or one that a device made."""

    payment: PaymentId
    amount: Amount
    pay_code: CodeId | UnsetType = UNSET
    device: DeviceId | UnsetType = UNSET
    step: Annotated[int, Meta(description="Unix time // 30")] | UnsetType = UNSET


class PayCodeExpiredData(Struct, frozen=True):
    """Nobody used it in time."""

    pay_code: CodeId


class DeviceRegisteredData(Struct, frozen=True):
    """A phone that makes codes of its own. Its secret is nowhere."""

    device: DeviceId
    handle: Annotated[str, Meta(pattern=r"^[0-9]{7}$", description="By which its codes name it")]
    debit_account: AccountId
    currency: Currency
    per_payment_max: Amount
    offline_total_max: Amount


class DeviceOnlineData(Struct, frozen=True):
    """What the device spends offline is counted anew."""

    device: DeviceId
    offline_spent: Annotated[int, Meta(ge=0, description="Minor units, until then")]


class DeviceRevokedData(Struct, frozen=True):
    """The device makes no codes any more."""

    device: DeviceId


CodeData = (
    PayCodeIssuedData
    | PayCodeUsedData
    | PayCodeExpiredData
    | DeviceRegisteredData
    | DeviceOnlineData
    | DeviceRevokedData
)


def code_data(event: CodeEvent) -> CodeData:
    stream = event.originator_id
    match event:
        case PayCodeUsed():
            by_device = event.step is not None
            return PayCodeUsedData(
                event.payment,
                event.amount_minor,
                UNSET if by_device else stream,
                stream if by_device else UNSET,
                UNSET if event.step is None else event.step,
            )
        case PayCodeIssued():
            return PayCodeIssuedData(
                stream,
                event.debit_account,
                event.currency,
                event.max_amount_minor,
                event.confirm_above_minor,
                time_text(event.expires_at),
            )
        case PayCodeExpired():
            return PayCodeExpiredData(stream)
        case DeviceRegistered():
            return DeviceRegisteredData(
                stream,
                event.handle,
                event.debit_account,
                event.currency,
                event.per_payment_max_minor,
                event.offline_total_max_minor,
            )
        case DeviceOnline():
            return DeviceOnlineData(stream, event.offline_spent_minor)
        case DeviceRevoked():
            return DeviceRevokedData(stream)


def code_fields(stream: str, data: CodeData) -> dict[str, Any]:
    """The event's own fields with its stream, but for its command. Raises ValueError where the
    stream is another than its data's."""
    fields = {
        name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET
    }
    named: UUID = fields.pop("pay_code", None) or fields.pop("device")
    if str(named) != stream:
        raise ValueError("its stream is not that of what its data names")
    for name in _AMOUNTS & fields.keys():
        fields[f"{name}_minor"] = fields.pop(name)
    match data:
        case PayCodeIssuedData():
            fields["expires_at"] = datetime.fromisoformat(data.expires_at)
        case PayCodeUsedData():
            fields.setdefault("step", None)
        case _:
            pass
    return fields | {"originator_id": named}


_AMOUNTS = frozenset(
    (
        *("amount", "max_amount", "confirm_above"),
        *("per_payment_max", "offline_total_max", "offline_spent"),
    )
)
