"""What answers about pay codes and devices look like, and of what came by which carrier."""

from typing import Literal

from pydantic import Field

from api.answer_models import Answer, Minor, PaymentId, Position, TimeText
from api.models import AccountId, Carrier, Currency


class PayCode(Answer):
    id: PaymentId
    state: Literal["live", "used", "expired"]
    debit_account: AccountId
    currency: Currency
    max_amount: Minor
    confirm_above: Minor | None
    expires_at: TimeText
    payment_id: PaymentId | None = Field(description="The payment that used it")
    created_at: TimeText
    position: Position


class PayCodeMade(PayCode):
    code: str | None = Field(
        pattern="^[0-9]{24}$", description="Null in a dry run, and in a replay once it is over"
    )


class Device(Answer):
    id: PaymentId
    state: Literal["active", "revoked"]
    handle: str = Field(pattern="^[0-9]{7}$", description="By which its codes name it")
    debit_account: AccountId
    currency: Currency
    per_payment_max: Minor
    offline_total_max: Minor
    offline_spent: Minor
    created_at: TimeText
    position: Position


class DeviceMade(Device):
    secret: str | None = Field(
        pattern="^[A-Z2-7]{32}$",
        description="Base32 of 20 bytes, in the first answer alone; null in a dry run",
    )


class CarrierSum(Answer):
    carrier: Carrier
    currency: Currency
    payments: int
    amount: Minor


class CarriersReport(Answer):
    items: list[CarrierSum]
    position: Position
