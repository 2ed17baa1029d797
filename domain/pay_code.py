"""A pay code: what a payer shows once to be debited, up to an amount and a deadline."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, Self, assert_never
from uuid import UUID

from eventsourcing.utils import register_topic

from domain.aggregate import Subject
from domain.code_events import PayCodeExpired, PayCodeIssued, PayCodeUsed
from domain.events import Actor, Posting
from domain.refusals import CurrencyMismatch, NothingDue, PayCodeExceeded, PayCodeInvalid

CodeState = Literal["live", "used", "expired"]


class PayCode(Subject):
    """Its id, which is its stream, is made of the keyed hash of its digits: they are not here."""

    debit_account: str
    currency: str
    max_amount_minor: int
    confirm_above_minor: int | None
    """A payment of more waits for the payer; None: none does."""
    expires_at: datetime
    state: CodeState
    """As recorded: what its deadline makes of it, `state_at` tells."""
    payment: UUID | None
    """The one that used it."""

    # Decide ---------------------------------------------------------------------------

    @classmethod
    def issue(
        cls,
        *,
        stream: UUID,
        command: UUID,
        actor: Actor,
        now: datetime,
        debit_account: str,
        currency: str,
        max_amount_minor: int,
        confirm_above_minor: int | None,
        expires_in_s: int,
    ) -> Self:
        return cls.begun_by(
            PayCodeIssued(
                originator_id=stream,
                originator_version=cls.INITIAL_VERSION,
                timestamp=now,
                command=command,
                actor=actor,
                debit_account=debit_account,
                currency=currency,
                max_amount_minor=max_amount_minor,
                confirm_above_minor=confirm_above_minor,
                expires_at=now + timedelta(seconds=expires_in_s),
            )
        )

    def permit(self, posting: Posting, now: datetime) -> None:
        """Raises what the code doesn't allow of a posting that it names the payer of."""
        if self.state_at(now) != "live":
            raise PayCodeInvalid
        if posting.currency != self.currency:
            raise CurrencyMismatch(account=self.debit_account, index=0)
        if posting.amount_minor > self.max_amount_minor:
            raise PayCodeExceeded

    def use(
        self, payment: UUID, amount_minor: int, *, command: UUID, actor: Actor, now: datetime
    ) -> None:
        """By the first payment that is not refused, whatever becomes of it."""
        told = {"payment": payment, "amount_minor": amount_minor}
        self.trigger(PayCodeUsed, command, actor, now, **told)

    def expire(self, *, command: UUID, actor: Actor, now: datetime) -> None:
        """Records that its deadline has passed."""
        if self.state != "live" or self.expires_at > now:
            raise NothingDue
        self.trigger(PayCodeExpired, command, actor, now)

    # Derived --------------------------------------------------------------------------

    @property
    def concerned(self) -> set[str]:
        return {self.debit_account}

    @property
    def waits(self) -> bool:
        return self.state == "live"

    def state_at(self, now: datetime) -> CodeState:
        """Its state: from its deadline on, that very microsecond included, it is no more live."""
        return "expired" if self.state == "live" and self.expires_at <= now else self.state

    def asks(self, amount_minor: int) -> bool:
        """Whether the payer is asked to confirm so much."""
        return self.confirm_above_minor is not None and amount_minor > self.confirm_above_minor

    # Evolve ---------------------------------------------------------------------------

    def evolve(self, event: PayCodeIssued | PayCodeUsed | PayCodeExpired) -> None:
        """Applies what has happened: it may never refuse."""
        match event:
            case PayCodeIssued():
                self.debit_account = event.debit_account
                self.currency = event.currency
                self.max_amount_minor = event.max_amount_minor
                self.confirm_above_minor = event.confirm_above_minor
                self.expires_at = event.expires_at
                self.state = "live"
                self.payment = None
            case PayCodeUsed():
                self.state = "used"
                self.payment = event.payment
            case PayCodeExpired():
                self.state = "expired"
            case _:
                assert_never(event)


register_topic("tally.pay_code", PayCode)
