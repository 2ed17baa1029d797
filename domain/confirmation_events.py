"""Events of a payment that its payer is asked to confirm: the money is held until then."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.events import LedgerEvent, PaymentDecided


@dataclass(frozen=True)
class PaymentPending(PaymentDecided):
    """The first event of its stream: what it holds are events of the accounts."""

    TOPIC = "tally.payment.pending.v1"

    expires_at: datetime
    """From this very microsecond on it can't be confirmed any more."""
    paid_by: UUID | None = None
    """The pay code that named the payer."""


@dataclass(frozen=True)
class PaymentConfirmed(LedgerEvent):
    """By the payer: it is settled."""

    TOPIC = "tally.payment.confirmed.v1"

    amounts: tuple[int, ...]
    """Booked out of what was held, by posting, in minor units."""


@dataclass(frozen=True)
class PaymentDeclined(LedgerEvent):
    """By the payer: nothing has moved."""

    TOPIC = "tally.payment.declined.v1"

    released: tuple[int, ...]
    """What was held, by posting."""
