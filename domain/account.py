"""An account: holder of one currency's balances, with a normal side."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Self, assert_never
from uuid import UUID

from eventsourcing.utils import register_topic

from domain.aggregate import LedgerAggregate
from domain.events import (
    AccountChanged,
    AccountClosed,
    AccountCredited,
    AccountDebited,
    AccountFrozen,
    AccountOpened,
    AccountUnfrozen,
    Actor,
    LedgerEvent,
    Metadata,
    NormalSide,
    Posting,
    Status,
)
from domain.refusals import AccountClosed as AccountIsClosed
from domain.refusals import AccountFrozen as AccountIsFrozen
from domain.refusals import AccountNotEmpty, CurrencyMismatch

AccountEvent = (
    AccountOpened
    | AccountChanged
    | AccountFrozen
    | AccountUnfrozen
    | AccountClosed
    | AccountDebited
    | AccountCredited
)


class Account(LedgerAggregate):
    """Decides on copies: `copied()` first, so that a failure half-way leaves no phantom."""

    account: str
    currency: str
    normal_side: NormalSide
    overdraft_limit: int | None
    max_balance: int | None
    metadata: Metadata
    status: Status
    posted: int
    """Minor units: credits - debits where credit-normal, debits - credits where debit-normal."""
    pending_debit: int
    pending_credit: int

    STATE_VERSION = 1
    """Raised with any change of what `evolve` makes: snapshots of another version are ignored."""

    # Decide ---------------------------------------------------------------------------

    @classmethod
    def open(
        cls,
        *,
        stream: UUID,
        command: UUID,
        actor: Actor,
        now: datetime,
        account: str,
        currency: str,
        normal_side: NormalSide,
        overdraft_limit: int | None,
        max_balance: int | None,
        metadata: Metadata,
    ) -> Self:
        return cls.begun_by(
            AccountOpened(
                originator_id=stream,
                originator_version=cls.INITIAL_VERSION,
                timestamp=now,
                command=command,
                actor=actor,
                account=account,
                currency=currency,
                normal_side=normal_side,
                overdraft_limit=overdraft_limit,
                max_balance=max_balance,
                metadata=metadata,
            )
        )

    def change(
        self, changes: dict[str, Any], *, command: UUID, actor: Actor, now: datetime
    ) -> None:
        """Sets overdraft limit, maximum balance or metadata; what is so already stays."""
        self._not_closed()
        changed = {name: value for name, value in changes.items() if getattr(self, name) != value}
        if changed:
            self._trigger(AccountChanged, command, actor, now, changed=changed)

    def freeze(self, reason: str, *, command: UUID, actor: Actor, now: datetime) -> None:
        self._not_closed()
        if self.status != "frozen":
            self._trigger(AccountFrozen, command, actor, now, reason=reason)

    def unfreeze(self, reason: str, *, command: UUID, actor: Actor, now: datetime) -> None:
        self._not_closed()
        if self.status == "frozen":
            self._trigger(AccountUnfrozen, command, actor, now, reason=reason)

    def close(self, reason: str, *, command: UUID, actor: Actor, now: datetime) -> None:
        if self.status == "closed":
            return
        if self.posted or self.pending_debit or self.pending_credit:
            raise AccountNotEmpty(account=self.account)
        self._trigger(AccountClosed, command, actor, now, reason=reason)

    def accept(self, currency: str) -> None:
        """Raises what stops this account from taking part in a posting of that currency."""
        self._not_closed()
        if self.status == "frozen":
            raise AccountIsFrozen(account=self.account)
        if currency != self.currency:
            raise CurrencyMismatch(account=self.account)

    def enter(
        self,
        event_class: type[AccountDebited] | type[AccountCredited],
        posting: Posting,
        *,
        index: int,
        payment: UUID,
        actor: Actor,
        now: datetime,
        value_date: date,
        reference: str | None,
        carrier: str,
    ) -> None:
        """Books one side of a posting that has been decided: from here on nothing may refuse."""
        debits = event_class is AccountDebited
        posted = self.posted + self.effect(posting.amount_minor, debits=debits)
        self._trigger(
            event_class,
            payment,
            actor,
            now,
            payment=payment,
            index=index,
            amount_minor=posting.amount_minor,
            currency=self.currency,
            from_hold=False,
            posted=posted,
            pending_debit=self.pending_debit,
            pending_credit=self.pending_credit,
            available=self.available(posted),
            value_date=value_date,
            counter_account=posting.credit if debits else posting.debit,
            reference=reference,
            carrier=carrier,
        )

    # Derived --------------------------------------------------------------------------

    def effect(self, amount_minor: int, *, debits: bool) -> int:
        """What a debit (or credit) of the amount does to `posted`."""
        return -amount_minor if debits == (self.normal_side == "credit") else amount_minor

    def available(self, posted: int) -> int | None:
        """What may be spent with that much posted; None where the overdraft is unlimited."""
        if self.overdraft_limit is None:
            return None
        lowering = self.pending_debit if self.normal_side == "credit" else self.pending_credit
        return posted - lowering + self.overdraft_limit

    def headroom(self, posted: int) -> int | None:
        """What may still come in with that much posted; None where there is no maximum."""
        if self.max_balance is None:
            return None
        raising = self.pending_credit if self.normal_side == "credit" else self.pending_debit
        return self.max_balance - posted - raising

    def copied(self) -> Self:
        """A copy to decide on, which shares nothing that changes."""
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__)
        copy._pending_events = []
        return copy

    # Evolve ---------------------------------------------------------------------------

    def evolve(self, event: AccountEvent) -> None:
        """Applies what has happened: it may never refuse."""
        match event:
            case AccountDebited() | AccountCredited():
                self.posted = event.posted
                self.pending_debit = event.pending_debit
                self.pending_credit = event.pending_credit
            case AccountOpened():
                self.account = event.account
                self.currency = event.currency
                self.normal_side = event.normal_side
                self.overdraft_limit = event.overdraft_limit
                self.max_balance = event.max_balance
                self.metadata = event.metadata
                self.status = "open"
                self.posted = self.pending_debit = self.pending_credit = 0
            case AccountChanged():
                for name, value in event.changed.items():
                    setattr(self, name, value)
            case AccountFrozen():
                self.status = "frozen"
            case AccountUnfrozen():
                self.status = "open"
            case AccountClosed():
                self.status = "closed"
            case _:
                assert_never(event)

    def _not_closed(self) -> None:
        if self.status == "closed":
            raise AccountIsClosed(account=self.account)

    def _trigger(
        self,
        event_class: type[LedgerEvent],
        command: UUID,
        actor: Actor,
        now: datetime,
        **fields: Any,
    ) -> None:
        self.trigger_event(
            event_class,
            timestamp=now,
            command=command,
            actor=actor,
            account=self.account,
            **fields,
        )


register_topic("tally.account", Account)
