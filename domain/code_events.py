"""Events of what a payer pays by: one-time pay codes, and devices that make codes of their own.

None has a code or a secret: a pay code's stream is made of the keyed hash of its digits, and a
device's secret lies encrypted beside the store.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.events import FirstEvent, LedgerEvent


@dataclass(frozen=True)
class PayCodeIssued(FirstEvent):
    TOPIC = "tally.pay_code.issued.v1"
    AGGREGATE = "tally.pay_code"

    debit_account: str
    currency: str
    max_amount_minor: int
    confirm_above_minor: int | None
    """What is above it waits for the payer; None: nothing does."""
    expires_at: datetime


@dataclass(frozen=True)
class PayCodeUsed(LedgerEvent):
    """A code named the payer of a payment; on the stream of the device, where that made it."""

    TOPIC = "tally.pay_code.used.v1"

    payment: UUID
    amount_minor: int
    step: int | None = None
    """Of a device's code: the time it was made for (Unix time // 30)."""


@dataclass(frozen=True)
class PayCodeExpired(LedgerEvent):
    """Records what has been so since the deadline: nobody used it."""

    TOPIC = "tally.pay_code.expired.v1"


@dataclass(frozen=True)
class DeviceRegistered(FirstEvent):
    """The first event of its command's stream too, which is the device's own."""

    TOPIC = "tally.device.registered.v1"
    AGGREGATE = "tally.device"

    fingerprint: bytes
    """SHA-256 of the request's meaning (32 bytes)."""
    debit_account: str
    currency: str
    handle: str
    """7 digits, by which its codes name it."""
    per_payment_max_minor: int
    offline_total_max_minor: int


@dataclass(frozen=True)
class DeviceOnline(LedgerEvent):
    """It was in touch: what it spends offline is counted anew."""

    TOPIC = "tally.device.online.v1"

    offline_spent_minor: int
    """Spent offline until then."""


@dataclass(frozen=True)
class DeviceRevoked(LedgerEvent):
    TOPIC = "tally.device.revoked.v1"


CodeEvent = (
    PayCodeIssued | PayCodeUsed | PayCodeExpired | DeviceRegistered | DeviceOnline | DeviceRevoked
)
"""Of what a payer pays by: no account's or payment's."""
