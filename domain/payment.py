"""A payment: one business movement of money, of one or more postings, all or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Self, assert_never
from uuid import UUID

from eventsourcing.utils import register_topic

from domain.account import Account
from domain.aggregate import LedgerAggregate
from domain.events import (
    AccountCredited,
    AccountDebited,
    Actor,
    LedgerEvent,
    Metadata,
    PaymentRefused,
    PaymentSettled,
    Posting,
)
from domain.money import MAX_BALANCE_MINOR, MIN_BALANCE_MINOR
from domain.refusals import (
    AccountUnknown,
    BalanceOverflow,
    InsufficientFunds,
    MaxBalanceExceeded,
    Refusal,
    Refused,
    SameAccount,
    ValueDateOutOfRange,
)

VALUE_DATE_RANGE: Final = timedelta(days=366)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentOrder:
    """A payment as it is asked for."""

    postings: tuple[Posting, ...]
    mode: str = "settle"
    carrier: str = "api"
    reference: str | None = None
    value_date: date | None = None
    """None is the day (UTC) that each entry is booked."""
    metadata: Metadata


class Payment(LedgerAggregate):
    """Begins settled or refused; what else becomes of a payment is an event on its stream."""

    state: str

    @classmethod
    def begin(
        cls,
        event_class: type[PaymentSettled] | type[PaymentRefused],
        order: PaymentOrder,
        *,
        stream: UUID,
        fingerprint: bytes,
        actor: Actor,
        now: datetime,
        **outcome: Any,
    ) -> Self:
        return cls.begun_by(
            event_class(
                originator_id=stream,
                originator_version=cls.INITIAL_VERSION,
                timestamp=now,
                command=stream,
                actor=actor,
                fingerprint=fingerprint,
                postings=order.postings,
                mode=order.mode,
                carrier=order.carrier,
                reference=order.reference,
                value_date=order.value_date,
                metadata=order.metadata,
                **outcome,
            )
        )

    def evolve(self, event: PaymentSettled | PaymentRefused) -> None:
        match event:
            case PaymentSettled():
                self.state = "settled"
            case PaymentRefused():
                self.state = "refused"
            case _:
                assert_never(event)


register_topic("tally.payment", Payment)


def check(order: PaymentOrder, accounts: Mapping[str, Account], now: datetime) -> None:
    """Raises the first refusal of a payment in the documented precedence; changes nothing.

    `accounts` holds those of the order's accounts that exist.
    """
    if order.value_date and abs(order.value_date - now.date()) > VALUE_DATE_RANGE:
        raise ValueDateOutOfRange
    for index, posting in enumerate(order.postings):
        if posting.debit == posting.credit:
            raise SameAccount(account=posting.debit, index=index)
    for index, posting in enumerate(order.postings):
        for name in (posting.debit, posting.credit):
            if name not in accounts:
                raise AccountUnknown(account=name, index=index)
            try:
                accounts[name].accept(posting.currency)
            except Refused as refused:
                raise _of_posting(refused, index)  # noqa: B904 (the same refusal, told where)
    posted = {name: account.posted for name, account in accounts.items()}
    for index, posting in enumerate(order.postings):
        _check_funds(posting, index, accounts, posted)


def _check_funds(
    posting: Posting, index: int, accounts: Mapping[str, Account], posted: dict[str, int]
) -> None:
    """One posting's funds, maximum balances and overflow, as if the ones before were made."""
    sides = ((posting.debit, True), (posting.credit, False))
    for name, debits in sides:
        account = accounts[name]
        effect = account.effect(posting.amount_minor, debits=debits)
        posted[name] += effect
        available = account.available(posted[name])
        if effect < 0 and available is not None and available < 0:
            raise InsufficientFunds(account=name, index=index)
    for name, debits in sides:
        account = accounts[name]
        headroom = account.headroom(posted[name])
        raised = account.effect(posting.amount_minor, debits=debits) > 0
        if raised and headroom is not None and headroom < 0:
            raise MaxBalanceExceeded(account=name, index=index)
    for name, _ in sides:
        if not MIN_BALANCE_MINOR <= posted[name] <= MAX_BALANCE_MINOR:
            raise BalanceOverflow(account=name, index=index)


def _of_posting(refused: Refused, index: int) -> Refusal:
    return type(refused)(**refused.members, index=index)


def settle(
    order: PaymentOrder,
    accounts: Mapping[str, Account],
    *,
    payment: UUID,
    fingerprint: bytes,
    actor: Actor,
    now: datetime,
) -> list[LedgerEvent]:
    """Decides a payment that settles now; gives its events in order, the accounts changed.

    Raises Undecided refusals. A Refused one is the payment's event, and changes no account.
    """
    try:
        check(order, accounts, now)
    except Refused as refused:
        return Payment.begin(
            PaymentRefused,
            order,
            stream=payment,
            fingerprint=fingerprint,
            actor=actor,
            now=now,
            refusal={"code": refused.code, **refused.members},
        ).collect()
    # From here on it must succeed: everything has been checked, nothing may refuse.
    events = Payment.begin(
        PaymentSettled, order, stream=payment, fingerprint=fingerprint, actor=actor, now=now
    ).collect()
    for index, posting in enumerate(order.postings):
        for name, event_class in (
            (posting.debit, AccountDebited),
            (posting.credit, AccountCredited),
        ):
            accounts[name].enter(
                event_class,
                posting,
                index=index,
                payment=payment,
                actor=actor,
                now=now,
                value_date=order.value_date or now.date(),
                reference=order.reference,
                carrier=order.carrier,
            )
            events += accounts[name].collect()
    return events
