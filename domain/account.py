"""An account: holder of one currency's balances, with a normal side."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final, Self, assert_never
from uuid import UUID

from eventsourcing.utils import register_topic

from domain.aggregate import LedgerAggregate
from domain.events import (
    AccountChanged,
    AccountClosed,
    AccountCredited,
    AccountDebited,
    AccountFrozen,
    AccountHeld,
    AccountHold,
    AccountOpened,
    AccountReleased,
    AccountUnfrozen,
    Actor,
    LedgerEvent,
    Leg,
    Metadata,
    NormalSide,
    Status,
)
from domain.holds import (
    Hold,
    Holds,
    Pending,
    left_of,
    moved,
    open_at,
    with_left,
    without_expired,
)
from domain.limits import Meter, limit_of, set_limits
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
    | AccountHeld
    | AccountReleased
)


_STATUS: Final[dict[type[LedgerEvent], Status]] = {
    AccountFrozen: "frozen",
    AccountUnfrozen: "open",
    AccountClosed: "closed",
}


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
    """As of the last event that told them: `pending_at` leaves out what has expired since."""
    holds: Holds
    meters: tuple[Meter, ...]
    """The velocity limits, each with what counts towards it."""

    STATE_VERSION = 3
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
        """Sets overdraft limit, maximum balance, metadata or velocity limits; what is so already
        stays."""
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
        if self.posted or any(self.pending_at(now)):
            raise AccountNotEmpty(account=self.account)
        self._trigger(AccountClosed, command, actor, now, reason=reason)

    def accept(self, currency: str, *, frozen_too: bool) -> None:
        """Raises what stops this account from taking part in a posting of that currency; whether
        it is frozen is asked only where `frozen_too`."""
        self._not_closed()
        if frozen_too and self.status == "frozen":
            raise AccountIsFrozen(account=self.account)
        if currency != self.currency:
            raise CurrencyMismatch(account=self.account)

    # From here on it has been decided: nothing may refuse.

    def enter(
        self,
        leg: Leg,
        *,
        command: UUID,
        actor: Actor,
        now: datetime,
        value_date: date,
        reference: str | None,
        carrier: str,
        hold_expires_at: datetime | None = None,
    ) -> None:
        """Books it, out of the hold with that deadline where there is one."""
        amount_minor = leg.posting.amount_minor
        posted = self.posted + self.effect(amount_minor, debits=leg.side == "debit")
        pending = self.pending_at(now)
        left = None
        if hold_expires_at is not None:
            pending = moved(pending, leg.side, -amount_minor)
            left = left_of(self.holds, hold_expires_at, leg.payment, leg.number) - amount_minor
        self.trigger_event(
            AccountDebited if leg.side == "debit" else AccountCredited,
            timestamp=now,
            command=command,
            actor=actor,
            account=self.account,
            payment=leg.payment,
            index=leg.number,
            amount_minor=amount_minor,
            currency=self.currency,
            from_hold=hold_expires_at is not None,
            posted=posted,
            pending_debit=pending[0],
            pending_credit=pending[1],
            available=self.available(posted, pending),
            value_date=value_date,
            counter_account=leg.counter_account,
            reference=reference,
            carrier=carrier,
            hold_left=left,
            hold_expires_at=hold_expires_at,
        )

    def hold(
        self, leg: Leg, *, actor: Actor, now: datetime, expires_at: datetime, carrier: str
    ) -> None:
        """Reserves it."""
        pending = moved(self.pending_at(now), leg.side, leg.posting.amount_minor)
        by = (leg.payment, actor, now)
        self._trigger_hold(AccountHeld, leg, pending, *by, expires_at=expires_at, carrier=carrier)

    def release(
        self,
        leg: Leg,
        *,
        command: UUID,
        actor: Actor,
        now: datetime,
        expires_at: datetime,
        reason: str,
    ) -> None:
        """Gives back what is left of its hold: the posting's amount."""
        pending = self.pending_at(now)
        if expires_at > now:
            pending = moved(pending, leg.side, -leg.posting.amount_minor)
        by = (command, actor, now)
        self._trigger_hold(AccountReleased, leg, pending, *by, expires_at=expires_at, reason=reason)

    # Derived --------------------------------------------------------------------------

    def effect(self, amount_minor: int, *, debits: bool) -> int:
        """What a debit (or credit) of the amount does to `posted`."""
        return -amount_minor if debits == (self.normal_side == "credit") else amount_minor

    def pending_at(self, now: datetime) -> Pending:
        """What is held at that time: from its deadline on, a hold counts no more."""
        pending = (self.pending_debit, self.pending_credit)
        return without_expired(pending, self.holds, now) if self.holds else pending

    def lowering(self, pending: Pending) -> int:
        """What is held of what lowers it: of debits, where it is credit-normal."""
        return pending[0] if self.normal_side == "credit" else pending[1]

    def raising(self, pending: Pending) -> int:
        """What is held of what raises it."""
        return pending[1] if self.normal_side == "credit" else pending[0]

    def available(self, posted: int, pending: Pending) -> int | None:
        """What may be spent with that much posted and held; None: the overdraft is unlimited."""
        if self.overdraft_limit is None:
            return None
        return posted - self.lowering(pending) + self.overdraft_limit

    def headroom(self, posted: int, pending: Pending) -> int | None:
        """What may still come in with that much posted and held; None: there is no maximum."""
        if self.max_balance is None:
            return None
        return self.max_balance - posted - self.raising(pending)

    @property
    def limits(self) -> list[dict[str, Any]]:
        """The velocity limits as clients see them."""
        return [meter.limit._asdict() for meter in self.meters]

    # Evolve ---------------------------------------------------------------------------

    def evolve(self, event: AccountEvent) -> None:
        """Applies what has happened: it may never refuse."""
        match event:
            case AccountDebited() | AccountCredited():
                self._told(event)
                if event.hold_expires_at is not None and event.hold_left is not None:
                    self._hold_left(event, event.hold_expires_at, event.hold_left)
                if self.meters and isinstance(event, AccountDebited):
                    self.meters = tuple(meter.after(event) for meter in self.meters)
            case AccountHeld() | AccountReleased():
                self._told(event)
                held = isinstance(event, AccountHeld)
                self._hold_left(event, event.expires_at, event.amount_minor if held else 0)
                if self.meters and event.side == "debit":
                    self.meters = tuple(meter.after(event) for meter in self.meters)
            case AccountOpened():
                self._opened(event)
            case AccountChanged():
                self._changed(event)
            case AccountFrozen() | AccountUnfrozen() | AccountClosed():
                self.status = _STATUS[type(event)]
            case _:
                assert_never(event)

    def _opened(self, event: AccountOpened) -> None:
        self.account = event.account
        self.currency = event.currency
        self.normal_side = event.normal_side
        self.overdraft_limit = event.overdraft_limit
        self.max_balance = event.max_balance
        self.metadata = event.metadata
        self.status = "open"
        self.posted = self.pending_debit = self.pending_credit = 0
        self.holds = ()
        self.meters = ()

    def _changed(self, event: AccountChanged) -> None:
        for name, value in event.changed.items():
            if name == "limits":
                self.meters = set_limits(self.meters, map(limit_of, value))
            else:
                setattr(self, name, value)

    def _told(self, event: AccountDebited | AccountCredited | AccountHold) -> None:
        self.posted = event.posted
        self.pending_debit = event.pending_debit
        self.pending_credit = event.pending_credit
        if self.holds:
            self.holds = open_at(self.holds, event.timestamp)

    def _hold_left(
        self,
        event: AccountDebited | AccountCredited | AccountHold,
        expires_at: datetime,
        left: int,
    ) -> None:
        hold = Hold(expires_at, event.payment, event.index, event.side, left)
        self.holds = with_left(self.holds, hold)

    def _not_closed(self) -> None:
        if self.status == "closed":
            raise AccountIsClosed(account=self.account)

    def _trigger_hold(
        self,
        event_class: type[AccountHeld] | type[AccountReleased],
        leg: Leg,
        pending: Pending,
        command: UUID,
        actor: Actor,
        now: datetime,
        **fields: Any,
    ) -> None:
        self._trigger(
            event_class,
            command,
            actor,
            now,
            payment=leg.payment,
            index=leg.number,
            side=leg.side,
            amount_minor=leg.posting.amount_minor,
            currency=self.currency,
            posted=self.posted,
            pending_debit=pending[0],
            pending_credit=pending[1],
            available=self.available(self.posted, pending),
            counter_account=leg.counter_account,
            **fields,
        )

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
