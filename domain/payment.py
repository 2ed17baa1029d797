"""A payment: one business movement of money, of one or more postings, all or nothing."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Self, assert_never
from uuid import UUID

from eventsourcing.utils import register_topic

from domain.aggregate import Subject, event_with
from domain.confirmation_events import PaymentConfirmed, PaymentDeclined, PaymentPending
from domain.events import (
    Actor,
    LedgerEvent,
    PaymentCanceled,
    PaymentCaptured,
    PaymentDecided,
    PaymentExpired,
    PaymentHeld,
    PaymentRefunded,
    PaymentRefused,
    PaymentScheduled,
    PaymentSettled,
    PaymentVoided,
    Posting,
    accounts_of,
)
from domain.order import PaymentOrder
from domain.refusals import HoldExpired, PaymentNotPending
from domain.transitions import REFUSALS, TRANSITIONS, State, Step

PaymentStep = (
    PaymentCaptured
    | PaymentVoided
    | PaymentExpired
    | PaymentRefunded
    | PaymentCanceled
    | PaymentConfirmed
    | PaymentDeclined
)


class Payment(Subject):
    """Decides on copies, as Account does: what becomes of it is an event on its stream."""

    state: State
    postings: tuple[Posting, ...]
    captured: tuple[int, ...]
    """By posting, in minor units; of a payment that settled at once, the amounts."""
    refunded: tuple[int, ...]
    """By posting, of what was captured."""
    mode: str
    carrier: str
    reference: str | None
    value_date: date | None
    """As sent."""
    metadata: dict[str, str]
    booked_on: date
    """The day (UTC) it shows where no value date was sent: not that of a hold's captures, which
    may be several."""
    expires_at: datetime | None
    """Of what is held: for a capture, or for the payer to confirm."""
    execute_at: datetime | None
    refund_of: UUID | None
    payment_request: UUID | None
    """The one that it pays."""
    expired: bool
    """Whether its hold ended by its deadline."""
    scheduled: PaymentScheduled | None
    """What is to be decided at its time."""

    # Decide ---------------------------------------------------------------------------

    @classmethod
    def begin(
        cls,
        event_class: type[PaymentDecided],
        order: PaymentOrder,
        *,
        stream: UUID,
        fingerprint: bytes,
        actor: Actor,
        now: datetime,
        **outcome: Any,
    ) -> Self:
        fields = {
            "originator_id": stream,
            "originator_version": cls.INITIAL_VERSION,
            "timestamp": now,
            "command": stream,
            "actor": actor,
            "fingerprint": fingerprint,
            **_told(order),
            **outcome,
        }
        return cls.begun_by(event_with(event_class, fields))

    def executed(
        self,
        event_class: type[PaymentSettled] | type[PaymentRefused],
        order: PaymentOrder,
        *,
        command: UUID,
        actor: Actor,
        now: datetime,
        **outcome: Any,
    ) -> None:
        """What became of a scheduled payment at its time."""
        self.trigger(event_class, command, actor, now, fingerprint=b"", **_told(order), **outcome)

    def permit(self, step: Step, now: datetime) -> None:
        """Raises the refusal of a step that its state, or its deadline, doesn't allow."""
        state = self.state_at(now)
        if (state, step) in TRANSITIONS and not (step == "cancel" and self.is_due(now)):
            return
        expired = self.expired or self.is_due(now)
        if step in ("capture", "void") and self.hold_expires_at and expired:
            raise HoldExpired
        if step == "cancel" and self.confirm_expires_at:
            raise PaymentNotPending
        raise REFUSALS[step]

    # Derived --------------------------------------------------------------------------

    @property
    def accounts(self) -> set[str]:
        """Every account that it moves money of."""
        return accounts_of(self.postings)

    @property
    def concerned(self) -> set[str]:
        """Those and, until its time has come, the accounts of its conditions."""
        waiting = self.scheduled
        return self.accounts | {each.account for each in (waiting.conditions if waiting else ())}

    @property
    def waits(self) -> bool:
        """Whether something is to come by itself: its deadline, or its time."""
        return self.state in ("held", "scheduled", "pending_confirmation")

    def is_due(self, now: datetime) -> bool:
        """Whether that has come, that very microsecond included."""
        at = self.execute_at if self.state == "scheduled" else self.expires_at
        return self.waits and at is not None and at <= now

    def state_at(self, now: datetime) -> State:
        """Its state, what is held past its deadline as what it is: swept or not."""
        if self.state != "scheduled" and self.is_due(now):
            return "settled" if any(self.captured) else "expired"
        return self.state

    @property
    def hold_expires_at(self) -> datetime | None:
        """The deadline of a hold."""
        return self.expires_at if self.mode == "hold" else None

    @property
    def confirm_expires_at(self) -> datetime | None:
        """Until when the payer can confirm it, or could; None of one that nobody had to."""
        return None if self.mode == "hold" else self.expires_at

    @property
    def left(self) -> tuple[int, ...]:
        """By posting: what has not been captured yet."""
        return tuple(
            posting.amount_minor - captured
            for posting, captured in zip(self.postings, self.captured, strict=True)
        )

    @property
    def refundable(self) -> tuple[int, ...]:
        """By posting: what was captured and has not been refunded yet."""
        return tuple(
            captured - refunded
            for captured, refunded in zip(self.captured, self.refunded, strict=True)
        )

    # Evolve ---------------------------------------------------------------------------

    def evolve(self, event: PaymentDecided | PaymentStep) -> None:
        """Applies what has happened: it may never refuse."""
        match event:
            case PaymentDecided():
                self._decided(event)
            case PaymentCaptured():
                self.captured = _sums(self.captured, event.amounts)
                self.state = "settled" if event.final else "held"
            case PaymentVoided():
                self.state = "settled" if any(self.captured) else "voided"
            case PaymentExpired():
                self.state = "settled" if any(self.captured) else "expired"
                self.expired = True
            case PaymentRefunded():
                self.refunded = _sums(self.refunded, event.amounts)
            case PaymentCanceled():
                self.state = "canceled"
            case PaymentConfirmed():
                self.captured = event.amounts
                self.state = "settled"
            case PaymentDeclined():
                self.state = "declined"
            case _:
                assert_never(event)

    def _decided(self, event: PaymentDecided) -> None:
        self.postings = event.postings
        self.captured = self.refunded = (0,) * len(event.postings)
        self.mode = event.mode
        self.carrier = event.carrier
        self.reference = event.reference
        self.value_date = event.value_date
        self.metadata = event.metadata
        self.booked_on = event.timestamp.date()
        if event.originator_version == self.INITIAL_VERSION:
            self.expires_at = self.execute_at = self.scheduled = None
            self.expired = False
        self.refund_of = self.payment_request = None
        match event:
            case PaymentSettled():
                self.state = "settled"
                self.captured = tuple(posting.amount_minor for posting in event.postings)
                self.refund_of = event.refund_of
                self.payment_request = event.payment_request
                self.scheduled = None
            case PaymentHeld():
                self.state = "held"
                self.expires_at = event.expires_at
            case PaymentPending():
                self.state = "pending_confirmation"
                self.expires_at = event.expires_at
            case PaymentScheduled():
                self.state = "scheduled"
                self.execute_at = event.execute_at
                self.booked_on = event.execute_at.date()
                self.scheduled = event
            case PaymentRefused():
                self.state = "refused"
                self.refund_of = event.refund_of
                self.payment_request = event.payment_request
                self.scheduled = None
            case _:
                raise AssertionError(f"{event.TOPIC} begins no payment")


def account_events(event: LedgerEvent) -> int:
    """How many events of accounts follow a payment's own one, of the same command: two a posting,
    where there is an amount."""
    match event:
        case PaymentSettled() | PaymentHeld() | PaymentPending():
            return 2 * len(event.postings)
        case PaymentCaptured():
            return 2 * sum(amount > 0 for amount in event.amounts + event.released)
        case PaymentConfirmed():
            return 2 * len(event.amounts)
        case PaymentVoided() | PaymentExpired() | PaymentDeclined():
            return 2 * sum(amount > 0 for amount in event.released)
        case PaymentCanceled():
            return 2 * len(event.released or ())
        case _:
            return 0


def elsewhere(event: PaymentSettled | PaymentPending) -> int:
    """How many events of other streams come last in its command: what a refund tells its original,
    a payment request that it is paid, and a code that it was used."""
    links: tuple[UUID | None, ...] = (event.paid_by,)
    if isinstance(event, PaymentSettled):
        links += (event.refund_of, event.payment_request)
    return sum(link is not None for link in links)


def _told(order: PaymentOrder) -> dict[str, Any]:
    return {
        "postings": order.postings,
        "mode": order.mode,
        "carrier": order.carrier,
        "reference": order.reference,
        "value_date": order.value_date,
        "metadata": order.metadata,
    }


def _sums(before: tuple[int, ...], more: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(one + another for one, another in zip(before, more, strict=True))


register_topic("tally.payment", Payment)
