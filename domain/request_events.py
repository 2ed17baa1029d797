"""Events of payment requests: a shop's orders that wait for a payer.

None has the token that opens it to whoever holds it: that is made of its id and a server secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.events import FirstEvent, LedgerEvent, Metadata


@dataclass(frozen=True)
class PaymentRequestOpened(FirstEvent):
    """Its first revision."""

    TOPIC = "tally.payment_request.opened.v1"
    AGGREGATE = "tally.payment_request"

    credit_account: str
    amount_minor: int | None
    """None: the payer chooses."""
    currency: str
    reference: str | None
    description: str | None
    metadata: Metadata
    expires_in_s: int
    expires_at: datetime
    """From this very microsecond on it can't be paid."""
    token_key: str
    """Which of the server's secrets its token is made with; says nothing of the secret."""


@dataclass(frozen=True)
class PaymentRequestChanged(LedgerEvent):
    """All that a change may touch, as it is after it."""

    TOPIC = "tally.payment_request.changed.v1"

    revision: int
    amount_minor: int | None
    description: str | None
    expires_in_s: int
    expires_at: datetime


@dataclass(frozen=True)
class PaymentRequestPaid(LedgerEvent):
    """By a payment of the same command."""

    TOPIC = "tally.payment_request.paid.v1"

    payment: UUID
    revision: int
    """The one that the payer named."""
    amount_minor: int


@dataclass(frozen=True)
class PaymentRequestCanceled(LedgerEvent):
    TOPIC = "tally.payment_request.canceled.v1"


@dataclass(frozen=True)
class PaymentRequestExpired(LedgerEvent):
    """Records what has been so since the deadline."""

    TOPIC = "tally.payment_request.expired.v1"


PaymentRequestEvent = (
    PaymentRequestOpened
    | PaymentRequestChanged
    | PaymentRequestPaid
    | PaymentRequestCanceled
    | PaymentRequestExpired
)
