"""One payment folded once more from its own events, and the events that each of them asks for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Self
from uuid import UUID

from domain.confirmation_events import PaymentConfirmed, PaymentDeclined, PaymentPending
from domain.events import (
    AccountHeld,
    AccountReleased,
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
)
from domain.ids import due_command
from domain.payment import PaymentStep
from infrastructure.reconcile import asked
from infrastructure.reconcile.asked import Asked
from infrastructure.reconcile.findings import Check, Found, Row, check_at

Amounts = tuple[int, ...]
"""By posting, in minor units."""


_BEFORE: Final[dict[type[PaymentStep], tuple[str, ...]]] = {
    PaymentCaptured: ("held",),
    PaymentVoided: ("held",),
    PaymentExpired: ("held", "pending_confirmation"),
    PaymentRefunded: ("settled",),
    PaymentCanceled: ("scheduled", "pending_confirmation"),
    PaymentConfirmed: ("pending_confirmation",),
    PaymentDeclined: ("pending_confirmation",),
}
"""The states that each step may follow: as recorded, of a refund as of its time."""


@dataclass(slots=True)
class PaymentReplay:
    id: UUID
    created_position: int
    created_at: datetime
    position: int
    """Of the last event of the last command that changed it."""
    version: int
    state: str
    mode: str
    carrier: str
    reference: str | None
    value_date: date | None
    """As sent."""
    booked_on: date
    postings: tuple[Posting, ...]
    metadata: dict[str, str]
    captured: Amounts
    refunded: Amounts
    refusal: dict[str, Any] | None = None
    expires_at: datetime | None = None
    execute_at: datetime | None = None
    expired: bool = False
    refund_of: UUID | None = None
    payment_request: UUID | None = None
    paid_by: UUID | None = None
    up_to: Amounts = ()

    @classmethod
    def begun(cls, position: int, event: PaymentDecided) -> Self:
        nothing = (0,) * len(event.postings)
        return cls(
            id=event.originator_id,
            created_position=position,
            created_at=event.timestamp,
            position=position,
            version=1,
            state="",
            mode=event.mode,
            carrier=event.carrier,
            reference=event.reference,
            value_date=event.value_date,
            booked_on=event.timestamp.date(),
            postings=event.postings,
            metadata=event.metadata,
            captured=nothing,
            refunded=nothing,
        )

    @property
    def waits(self) -> bool:
        return self.state in ("held", "scheduled", "pending_confirmation")

    @property
    def accounts(self) -> set[str]:
        names = {name for posting in self.postings for name in (posting.debit, posting.credit)}
        return names - {""}

    @property
    def left(self) -> Amounts:
        return tuple(
            posting.amount_minor - captured
            for posting, captured in zip(self.postings, self.captured, strict=True)
        )

    @property
    def refundable(self) -> Amounts:
        return tuple(
            captured - refunded
            for captured, refunded in zip(self.captured, self.refunded, strict=True)
        )

    def row(self) -> Row:
        """What the payments read model must hold of it, apart from its JSON members' order."""
        return (
            self.created_position,
            self.id,
            self.position,
            self.state,
            self.mode,
            self.carrier,
            self.reference,
            self.value_date or self.booked_on,
            self.created_at,
            self.expires_at,
            self.execute_at,
            self.expired,
            self.refund_of,
            self.payment_request,
            self.postings,
            self.captured,
            self.refunded,
            tuple(sorted(self.metadata.items())),
            refusal_text(self.refusal),
        )

    def undone(self, amounts: Amounts) -> tuple[Posting, ...]:
        """The postings of a refund of so much: its own from the last to the first, reversed."""
        return tuple(
            Posting(posting.credit, posting.debit, amount, posting.currency)
            for posting, amount in reversed([*zip(self.postings, amounts, strict=False)])
            if amount
        )

    def apply(
        self, position: int, event: PaymentDecided | PaymentStep, found: Found
    ) -> list[Asked]:
        """Takes what has become of it, says what can't have, and gives the events to follow."""
        check = check_at(position, found)
        if isinstance(event, PaymentDecided):
            follow = self._decided(event, check)
        else:
            follow = self._stepped(event, check)
        self.version, self.position = event.originator_version, position + len(follow)
        return follow

    # Decided: its first event, or what became of it at its time ------------------------

    def _decided(self, event: PaymentDecided, check: Check) -> list[Asked]:
        if event.originator_version > 1:
            self._execute(event, check)
        self.postings = event.postings
        self.captured = self.refunded = (0,) * len(event.postings)
        self.booked_on = event.timestamp.date()
        match event:
            case PaymentSettled():
                self.state, self.refund_of = "settled", event.refund_of
                self.payment_request = event.payment_request
                self.paid_by = event.paid_by
                self.captured = tuple(posting.amount_minor for posting in event.postings)
                return [
                    *asked.entries(self, self.captured, event),
                    *asked.refunds(self),
                    *asked.request_paid(self),
                    *asked.code_use(self),
                ]
            case PaymentPending():
                check(event.expires_at > event.timestamp, "it waits until before it waits")
                self.state, self.expires_at = "pending_confirmation", event.expires_at
                self.paid_by = event.paid_by
                held = asked.holds(self, self.left, AccountHeld, carrier=self.carrier)
                return held + asked.code_use(self)
            case PaymentHeld():
                check(event.expires_at > event.timestamp, "it is held until before it is held")
                self.state, self.expires_at = "held", event.expires_at
                return asked.holds(self, self.left, AccountHeld, carrier=self.carrier)
            case PaymentScheduled():
                check(event.execute_at > event.timestamp, "it is scheduled for before its time")
                self.state, self.execute_at = "scheduled", event.execute_at
                self.booked_on = event.execute_at.date()
                self.up_to = event.up_to or self.captured
                are_to_be_found = tuple(not posting.amount_minor for posting in self.postings)
                check(
                    tuple(map(bool, self.up_to)) == are_to_be_found,
                    f"up_to {self.up_to}, where the postings are {self.postings}",
                )
            case PaymentRefused():
                self.state, self.refund_of = "refused", event.refund_of
                self.payment_request = event.payment_request
                self.refusal = event.refusal
            case _:
                raise AssertionError(f"{event.TOPIC} decides no payment")
        return []

    def _execute(self, event: PaymentDecided, check: Check) -> None:
        waited = self.state == "scheduled" and isinstance(event, PaymentSettled | PaymentRefused)
        check(waited, f"{event.TOPIC} of a payment that is {self.state}")
        at = self.execute_at
        check(at is None or event.timestamp >= at, f"it is executed before its time, {at}")
        check(event.command == due_command(self.id, "execute"), "its command is another's")
        for member in ("mode", "carrier", "reference", "value_date", "metadata"):
            is_, should = getattr(event, member), getattr(self, member)
            check(is_ == should, f"{member} {is_}, was scheduled with {should}")
        are_those = len(event.postings) == len(self.postings) and all(
            is_._replace(amount_minor=should.amount_minor) == should
            and (is_ == should or is_.amount_minor <= up_to)
            for is_, should, up_to in zip(event.postings, self.postings, self.up_to, strict=False)
        )
        check(are_those, "its postings are not those that were scheduled")

    # Its steps ------------------------------------------------------------------------

    def _stepped(self, event: PaymentStep, check: Check) -> list[Asked]:
        for name in ("amounts", "released"):
            if len(getattr(event, name, None) or self.postings) != len(self.postings):
                check(False, f"{name} are not of each posting")
                return []
        refunds = isinstance(event, PaymentRefunded)
        state = self._state_at(event.timestamp) if refunds else self.state
        check(state in _BEFORE[type(event)], f"{event.TOPIC} of a payment that is {state}")
        self._check_time(event, check)
        match event:
            case PaymentCaptured():
                return self._capture(event, check)
            case PaymentVoided():
                return [*self._release(event, "voided", check), asked.record(self, "void_payment")]
            case PaymentExpired():
                check(event.command == due_command(self.id, "expire"), "its command is another's")
                self.expired = True
                return self._release(event, "expired", check)
            case PaymentRefunded():
                check(self.refund_of is None, "it refunds a refund")
                left = self.refundable
                check(_are_within(event.amounts, left), f"refunded {event.amounts} of {left} left")
                self.refunded = _sums(self.refunded, event.amounts)
                return []
            case PaymentCanceled(released=None):
                check(self.state == "scheduled", "it tells nothing of what was held")
                self.state = "canceled"
                return [asked.record(self, "cancel_payment")]
            case PaymentCanceled() | PaymentDeclined() | PaymentConfirmed():
                return self._answered(event, check)

    def _answered(
        self, event: PaymentCanceled | PaymentDeclined | PaymentConfirmed, check: Check
    ) -> list[Asked]:
        """What waited to be confirmed has been, or won't be."""
        match event:
            case PaymentCanceled():
                released = self._release(event, "canceled", check)
                return [*released, asked.record(self, "cancel_payment")]
            case PaymentDeclined():
                released = self._release(event, "declined", check)
                return [*released, asked.record(self, "decline_payment")]
            case PaymentConfirmed():
                check(event.amounts == self.left, f"booked {event.amounts} of {self.left} held")
                self.captured, self.state = event.amounts, "settled"
                return [
                    *asked.entries(self, event.amounts, event, left=self.left),
                    asked.record(self, "confirm_payment"),
                ]

    def _state_at(self, now: datetime) -> str:
        """A hold of which something was captured is settled from its deadline on, which may be
        recorded only after what follows from that."""
        over = self.state == "held" and self.expires_at is not None and self.expires_at <= now
        return "settled" if over and any(self.captured) else self.state

    def _check_time(self, event: PaymentStep, check: Check) -> None:
        """What expires is past its deadline; every other step of what waits comes before it."""
        deadline = self.execute_at if self.state == "scheduled" else self.expires_at
        if deadline is None or isinstance(event, PaymentRefunded):
            return
        past = event.timestamp >= deadline
        if isinstance(event, PaymentExpired):
            check(past, f"it expires before its deadline, {deadline}")
        else:
            check(not past, f"{event.TOPIC} at or after its deadline, {deadline}")

    def _capture(self, event: PaymentCaptured, check: Check) -> list[Asked]:
        held = self.left
        check(_are_within(event.amounts, held), f"captured {event.amounts} of {held} held")
        self.captured = _sums(self.captured, event.amounts)
        rest = self.left if event.final else (0,) * len(self.postings)
        check(event.released == rest, f"released {event.released}, should be {rest}")
        check(event.final or any(self.left), "it is not final, and nothing is left")
        self.state = "settled" if event.final else "held"
        return [
            *asked.entries(self, event.amounts, event, left=self.left),
            *asked.holds(self, event.released, AccountReleased, reason="captured"),
            asked.record(self, "capture_payment"),
        ]

    def _release(
        self,
        event: PaymentVoided | PaymentExpired | PaymentDeclined | PaymentCanceled,
        reason: str,
        check: Check,
    ) -> list[Asked]:
        check(event.released == self.left, f"released {event.released}, should be {self.left}")
        self.state = "settled" if any(self.captured) else reason
        return asked.holds(self, event.released or (), AccountReleased, reason=reason)


def refusal_text(refusal: dict[str, Any] | None) -> str | None:
    """The same for the same members, in whatever order."""
    return None if refusal is None else json.dumps(refusal, sort_keys=True)


def _sums(before: Amounts, more: Amounts) -> Amounts:
    return tuple(one + another for one, another in zip(before, more, strict=True))


def _are_within(amounts: Amounts, most: Amounts) -> bool:
    return all(0 <= amount <= limit for amount, limit in zip(amounts, most, strict=True))
