"""A payment as it is asked for."""

from __future__ import annotations

from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from domain.events import Condition, Metadata, PaymentScheduled, Posting, accounts_of


class PaymentOrder(NamedTuple):
    postings: tuple[Posting, ...]
    metadata: Metadata
    mode: str = "settle"
    hold_timeout_s: int = 604_800
    """How long a hold lasts."""
    carrier: str = "api"
    reference: str | None = None
    value_date: date | None = None
    """None is the day (UTC) that each entry is booked."""
    conditions: tuple[Condition, ...] = ()
    execute_at: datetime | None = None
    up_to: tuple[int, ...] = ()
    """By posting, where any amount is to be found: at most so much of what the account has; 0
    where the amount is fixed. The posting's own amount is 0 until then."""
    refund_of: UUID | None = None
    payment_request: UUID | None = None
    """The one that it pays."""
    paid_by: UUID | None = None
    """The pay code or device that named the payer, once it has."""
    confirm_timeout_s: int | None = None
    """How long the payer may take to confirm it; None: there is nothing to confirm."""

    @property
    def accounts(self) -> set[str]:
        """Every account that it moves money of."""
        return accounts_of(self.postings)

    @property
    def holds(self) -> bool:
        """Whether its money is held first."""
        return self.mode == "hold" or self.confirm_timeout_s is not None

    def found(self, postings: tuple[Posting, ...]) -> PaymentOrder:
        """With its amounts."""
        return self if postings == self.postings else self._replace(postings=postings, up_to=())


def scheduled_order(event: PaymentScheduled) -> PaymentOrder:
    """What a scheduled payment asks for when its time has come."""
    return PaymentOrder(
        postings=event.postings,
        mode=event.mode,
        carrier=event.carrier,
        reference=event.reference,
        value_date=event.value_date,
        metadata=event.metadata,
        conditions=event.conditions,
        up_to=event.up_to,
    )
