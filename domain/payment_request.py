"""A payment request: a shop's order that waits for a payer, until its deadline."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, Literal, Self, assert_never
from uuid import UUID

from eventsourcing.utils import register_topic

from domain.aggregate import Subject
from domain.events import Actor, Metadata, Posting
from domain.order import PaymentOrder
from domain.refusals import (
    AmountFixed,
    AmountRequired,
    NothingDue,
    Refused,
    RequestCanceled,
    RequestExpired,
    RequestPaid,
    RevisionChanged,
)
from domain.request_events import (
    PaymentRequestCanceled,
    PaymentRequestChanged,
    PaymentRequestEvent,
    PaymentRequestExpired,
    PaymentRequestOpened,
    PaymentRequestPaid,
)

RequestState = Literal["open", "paid", "canceled", "expired"]

_OVER: Final[dict[RequestState, type[Refused]]] = {
    "canceled": RequestCanceled,
    "paid": RequestPaid,
    "expired": RequestExpired,
}


class PaymentRequest(Subject):
    """Decides on copies, as Account does."""

    credit_account: str
    amount_minor: int | None
    """None: the payer chooses."""
    currency: str
    reference: str | None
    description: str | None
    metadata: Metadata
    revision: int
    """From 1; one more with each change. A payer names the one that was shown to it."""
    expires_in_s: int
    expires_at: datetime
    state: RequestState
    """As recorded: what its deadline makes of it, `state_at` tells."""
    payment: UUID | None
    """The one that paid it."""
    token_key: str

    # Decide ---------------------------------------------------------------------------

    @classmethod
    def open(
        cls,
        *,
        stream: UUID,
        command: UUID,
        actor: Actor,
        now: datetime,
        credit_account: str,
        amount_minor: int | None,
        currency: str,
        reference: str | None,
        description: str | None,
        metadata: Metadata,
        expires_in_s: int,
        token_key: str,
    ) -> Self:
        return cls.begun_by(
            PaymentRequestOpened(
                originator_id=stream,
                originator_version=cls.INITIAL_VERSION,
                timestamp=now,
                command=command,
                actor=actor,
                credit_account=credit_account,
                amount_minor=amount_minor,
                currency=currency,
                reference=reference,
                description=description,
                metadata=metadata,
                expires_in_s=expires_in_s,
                expires_at=now + timedelta(seconds=expires_in_s),
                token_key=token_key,
            )
        )

    def change(
        self, changes: dict[str, Any], *, command: UUID, actor: Actor, now: datetime
    ) -> None:
        """Sets `amount_minor`, `description` or `expires_in_s`, from now on; without any of them
        it stays as it is."""
        self._check_open(now)
        if not changes:
            return
        expires_in_s = changes.get("expires_in_s")
        self.trigger(
            PaymentRequestChanged,
            command,
            actor,
            now,
            revision=self.revision + 1,
            amount_minor=changes.get("amount_minor", self.amount_minor),
            description=changes.get("description", self.description),
            expires_in_s=expires_in_s or self.expires_in_s,
            expires_at=now + timedelta(seconds=expires_in_s) if expires_in_s else self.expires_at,
        )

    def cancel(self, *, command: UUID, actor: Actor, now: datetime) -> None:
        """Takes it back; a second time changes nothing."""
        if self.state != "canceled":
            self._check_open(now)
            self.trigger(PaymentRequestCanceled, command, actor, now)

    def order(
        self,
        debit_account: str,
        *,
        revision: int,
        amount_minor: int | None,
        carrier: str,
        now: datetime,
    ) -> PaymentOrder:
        """The payment that pays it. Raises the refusals by which none is made, in their order."""
        self._check_open(now)
        if revision != self.revision:
            raise RevisionChanged(revision=self.revision)
        amount = self.amount_minor or amount_minor
        if amount is None:
            raise AmountRequired
        if amount_minor not in (None, amount):
            raise AmountFixed
        return PaymentOrder(
            postings=(Posting(debit_account, self.credit_account, amount, self.currency),),
            carrier=carrier,
            reference=self.reference,
            metadata=self.metadata,
            payment_request=self.id,
        )

    def pay(
        self, payment: UUID, amount_minor: int, *, command: UUID, actor: Actor, now: datetime
    ) -> None:
        """Records what paid it; that it may, `order` has said."""
        told = {"payment": payment, "revision": self.revision, "amount_minor": amount_minor}
        self.trigger(PaymentRequestPaid, command, actor, now, **told)

    def expire(self, *, command: UUID, actor: Actor, now: datetime) -> None:
        """Records that its deadline has passed."""
        if self.state != "open" or self.state_at(now) != "expired":
            raise NothingDue
        self.trigger(PaymentRequestExpired, command, actor, now)

    # Derived --------------------------------------------------------------------------

    @property
    def concerned(self) -> set[str]:
        return {self.credit_account}

    @property
    def waits(self) -> bool:
        return self.state == "open"

    def state_at(self, now: datetime) -> RequestState:
        """Its state, past its deadline as what it is: swept or not."""
        return "expired" if self.state == "open" and self.expires_at <= now else self.state

    def _check_open(self, now: datetime) -> None:
        state = self.state_at(now)
        if state != "open":
            raise _OVER[state]

    # Evolve ---------------------------------------------------------------------------

    def evolve(self, event: PaymentRequestEvent) -> None:
        """Applies what has happened: it may never refuse."""
        match event:
            case PaymentRequestOpened():
                self.credit_account = event.credit_account
                self.currency = event.currency
                self.reference = event.reference
                self.metadata = event.metadata
                self.token_key = event.token_key
                self.state = "open"
                self.payment = None
                self._revised(1, event)
            case PaymentRequestChanged():
                self._revised(event.revision, event)
            case PaymentRequestPaid():
                self.state = "paid"
                self.payment = event.payment
            case PaymentRequestCanceled():
                self.state = "canceled"
            case PaymentRequestExpired():
                self.state = "expired"
            case _:
                assert_never(event)

    def _revised(self, revision: int, event: PaymentRequestOpened | PaymentRequestChanged) -> None:
        self.revision = revision
        self.amount_minor = event.amount_minor
        self.description = event.description
        self.expires_in_s = event.expires_in_s
        self.expires_at = event.expires_at


register_topic("tally.payment_request", PaymentRequest)
