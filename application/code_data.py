"""The shape of events of pay codes and devices.

As in application/event_data.py: members added later have a default.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from application.event_members import (
    AccountId,
    Amount,
    CodeId,
    Currency,
    DeviceId,
    PaymentId,
    TimeText,
)

OverAt = Annotated[TimeText, Meta(description="From this very microsecond on it is over")]


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
