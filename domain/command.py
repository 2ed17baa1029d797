"""The record of a command that makes no payment: what was asked, and what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from eventsourcing.utils import register_topic

from domain.aggregate import LedgerAggregate
from domain.events import Actor, CommandDecided
from domain.refusals import Refused


class CommandRecord(LedgerAggregate):
    """A stream of one event, so that its key is known for ever."""

    outcome: str

    @classmethod
    def decide(
        cls,
        *,
        stream: UUID,
        fingerprint: bytes,
        actor: Actor,
        now: datetime,
        name: str,
        refused: Refused | None,
        account: str | None = None,
        account_after: dict[str, Any] | None = None,
        payment: UUID | None = None,
        payment_request: UUID | None = None,
        pay_code: UUID | None = None,
        device: UUID | None = None,
    ) -> Self:
        """Of a command about an account, as it is after it, a payment or a payment request; or
        about what pays from an account."""
        return cls.begun_by(
            CommandDecided(
                originator_id=stream,
                originator_version=cls.INITIAL_VERSION,
                timestamp=now,
                command=stream,
                actor=actor,
                fingerprint=fingerprint,
                name=name,
                account=account,
                outcome="refused" if refused else "accepted",
                refusal=refused.told if refused else None,
                account_after=account_after,
                payment=payment,
                payment_request=payment_request,
                pay_code=pay_code,
                device=device,
            )
        )

    def evolve(self, event: CommandDecided) -> None:
        self.outcome = event.outcome


register_topic("tally.command", CommandRecord)
