"""A device: a payer's phone that makes codes of its own while it is offline.

Which step of time a code was made for is known by whoever has the device's secret; here it is
decided whether that step, and the amount, may still be spent.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, Self, assert_never
from uuid import UUID

from eventsourcing.utils import register_topic

from domain.aggregate import Subject
from domain.code_events import DeviceOnline, DeviceRegistered, DeviceRevoked, PayCodeUsed
from domain.events import Actor, Posting
from domain.refusals import CurrencyMismatch, PayCodeExceeded, PayCodeInvalid
from domain.refusals import DeviceRevoked as DeviceIsRevoked

STEP_S: Final = 30
SKEW: Final = 1
"""A device's clock may be so many steps off."""


def step_at(at: datetime) -> int:
    """The step of a time: Unix time // 30."""
    return int(at.timestamp()) // STEP_S


class Device(Subject):
    debit_account: str
    currency: str
    handle: str
    per_payment_max_minor: int
    offline_total_max_minor: int
    offline_spent_minor: int
    """Since it was last online."""
    state: Literal["active", "revoked"]
    spent: tuple[int, ...]
    """The steps spent that might be shown once more."""

    # Decide ---------------------------------------------------------------------------

    @classmethod
    def register(
        cls,
        *,
        stream: UUID,
        fingerprint: bytes,
        actor: Actor,
        now: datetime,
        debit_account: str,
        currency: str,
        handle: str,
        per_payment_max_minor: int,
        offline_total_max_minor: int,
    ) -> Self:
        return cls.begun_by(
            DeviceRegistered(
                originator_id=stream,
                originator_version=cls.INITIAL_VERSION,
                timestamp=now,
                command=stream,
                actor=actor,
                fingerprint=fingerprint,
                debit_account=debit_account,
                currency=currency,
                handle=handle,
                per_payment_max_minor=per_payment_max_minor,
                offline_total_max_minor=offline_total_max_minor,
            )
        )

    def permit(self, posting: Posting, step: int | None, now: datetime) -> None:
        """Raises what it doesn't allow of a posting that its code for that step names the payer
        of; None: the code is none of its own."""
        in_time = step is not None and abs(step - step_at(now)) <= SKEW
        if self.state == "revoked" or not in_time or step in self.spent:
            raise PayCodeInvalid
        if posting.currency != self.currency:
            raise CurrencyMismatch(account=self.debit_account, index=0)
        left = self.offline_total_max_minor - self.offline_spent_minor
        if posting.amount_minor > min(self.per_payment_max_minor, left):
            raise PayCodeExceeded

    def use(
        self,
        payment: UUID,
        amount_minor: int,
        step: int | None,
        *,
        command: UUID,
        actor: Actor,
        now: datetime,
    ) -> None:
        told = {"payment": payment, "amount_minor": amount_minor, "step": step}
        self.trigger(PayCodeUsed, command, actor, now, **told)

    def be_online(self, *, command: UUID, actor: Actor, now: datetime) -> None:
        """What it spends offline is counted anew; a step that was spent stays so."""
        if self.state == "revoked":
            raise DeviceIsRevoked
        spent = self.offline_spent_minor
        self.trigger(DeviceOnline, command, actor, now, offline_spent_minor=spent)

    def revoke(self, *, command: UUID, actor: Actor, now: datetime) -> None:
        if self.state == "active":
            self.trigger(DeviceRevoked, command, actor, now)

    # Derived --------------------------------------------------------------------------

    @property
    def concerned(self) -> set[str]:
        return {self.debit_account}

    @property
    def waits(self) -> bool:
        return self.state == "active"

    # Evolve ---------------------------------------------------------------------------

    def evolve(self, event: DeviceRegistered | PayCodeUsed | DeviceOnline | DeviceRevoked) -> None:
        """Applies what has happened: it may never refuse."""
        match event:
            case DeviceRegistered():
                self.debit_account = event.debit_account
                self.currency = event.currency
                self.handle = event.handle
                self.per_payment_max_minor = event.per_payment_max_minor
                self.offline_total_max_minor = event.offline_total_max_minor
                self.offline_spent_minor = 0
                self.state = "active"
                self.spent = ()
            case PayCodeUsed(step=int(step)):
                self.offline_spent_minor += event.amount_minor
                # Recorded time never steps back: an older step can't be shown again.
                oldest = step_at(event.timestamp) - SKEW
                self.spent = (*(each for each in self.spent if each >= oldest), step)
            case PayCodeUsed():
                raise AssertionError("a device's code is of a step")
            case DeviceOnline():
                self.offline_spent_minor = 0
            case DeviceRevoked():
                self.state = "revoked"
            case _:
                assert_never(event)


register_topic("tally.device", Device)
