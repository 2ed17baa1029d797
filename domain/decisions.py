"""What a command on a payment comes to: its events in order, of the payment and its accounts.

Every function decides on copies, which it changes. It raises Undecided refusals; a Refused one
either is a payment's first event (a new payment that is refused) or is raised too (a step of a
payment there is), before anything has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from domain.account import Account
from domain.checks import Accounts, check_accounts, check_money, check_times
from domain.confirmation_events import PaymentConfirmed, PaymentDeclined, PaymentPending
from domain.events import (
    Actor,
    LedgerEvent,
    Leg,
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
from domain.order import PaymentOrder, scheduled_order
from domain.payment import Payment
from domain.payment_request import PaymentRequest
from domain.refusals import (
    AmountOfSeveralPostings,
    CaptureExceedsHold,
    NothingDue,
    PaymentNotRefundable,
    RefundExceedsPayment,
    Refused,
)

Decision = tuple[Payment, list[LedgerEvent]]
"""The payment as it is then, and the command's events."""


# New payments -----------------------------------------------------------------------------


def make(
    order: PaymentOrder,
    accounts: Accounts,
    *,
    payment: UUID,
    fingerprint: bytes,
    actor: Actor,
    now: datetime,
) -> Decision:
    """A payment that settles now, is held, or waits for its time; or its refusal."""
    check_times(order, now)

    def begin(event_class: type[PaymentDecided], order: PaymentOrder, **outcome: Any) -> Payment:
        return Payment.begin(
            event_class,
            order,
            stream=payment,
            fingerprint=fingerprint,
            actor=actor,
            now=now,
            **outcome,
        )

    linked = {
        "refund_of": order.refund_of,
        "payment_request": order.payment_request,
        "paid_by": order.paid_by,
    }
    try:
        check_accounts(order.postings, accounts, frozen_too=order.execute_at is None)
        if order.execute_at is None:
            order = check_money(order, accounts, now)
    except Refused as refused:
        begun = begin(PaymentRefused, order, refusal=refused.told, **linked)
        return begun, begun.collect()
    # From here on it must succeed: everything has been checked, nothing may refuse.
    if order.execute_at is not None:
        begun = begin(
            PaymentScheduled,
            order,
            execute_at=order.execute_at,
            conditions=order.conditions,
            up_to=order.up_to,
        )
        return begun, begun.collect()
    if order.mode == "hold":
        expires_at = now + timedelta(seconds=order.hold_timeout_s)
        begun = begin(PaymentHeld, order, expires_at=expires_at)
        return begun, begun.collect() + _hold(begun, accounts, expires_at, actor, now)
    if order.confirm_timeout_s is not None:
        expires_at = now + timedelta(seconds=order.confirm_timeout_s)
        begun = begin(PaymentPending, order, expires_at=expires_at, paid_by=order.paid_by)
        return begun, begun.collect() + _hold(begun, accounts, expires_at, actor, now)
    begun = begin(PaymentSettled, order, **linked)
    return begun, begun.collect() + _enter(
        begun, begun.captured, accounts, command=payment, actor=actor, now=now
    )


def refund(
    original: Payment,
    amount: int | None,
    accounts: Accounts,
    *,
    payment: UUID,
    fingerprint: bytes,
    actor: Actor,
    now: datetime,
) -> Decision:
    """A payment that moves back what the original moved: all that is left of it, or an amount.

    Its postings are the original's from the last to the first, the other way round: what came in
    by a later one may have gone out by an earlier.
    """
    _check_single(original, amount)
    left = original.refundable
    asked = left if amount is None else (amount,)
    order = PaymentOrder(
        postings=tuple(
            Posting(posting.credit, posting.debit, wanted or posting.amount_minor, posting.currency)
            for posting, wanted in reversed([*zip(original.postings, asked, strict=True)])
            if wanted or not any(asked)
        ),
        reference=original.reference,
        metadata={},
        refund_of=original.id,
    )
    try:
        original.permit("refund", now)
        if original.refund_of is not None:
            raise PaymentNotRefundable
        if not any(asked) or any(want > has for want, has in zip(asked, left, strict=True)):
            raise RefundExceedsPayment
    except Refused as refused:
        begun = Payment.begin(
            PaymentRefused,
            order,
            stream=payment,
            fingerprint=fingerprint,
            actor=actor,
            now=now,
            refusal=refused.told,
            refund_of=original.id,
        )
        return begun, begun.collect()
    begun, events = make(
        order, accounts, payment=payment, fingerprint=fingerprint, actor=actor, now=now
    )
    if begun.state == "settled":
        original.trigger(PaymentRefunded, payment, actor, now, amounts=asked, refund=payment)
        events += original.collect()
    return begun, events


def pay_request(
    request: PaymentRequest,
    order: PaymentOrder,
    accounts: Accounts,
    *,
    payment: UUID,
    fingerprint: bytes,
    actor: Actor,
    now: datetime,
) -> Decision:
    """The payment that the request's own `order` asks for; refused, it leaves the request open."""
    begun, events = make(
        order, accounts, payment=payment, fingerprint=fingerprint, actor=actor, now=now
    )
    if begun.state == "settled":
        amount = begun.postings[0].amount_minor
        request.pay(payment, amount, command=payment, actor=actor, now=now)
        events += request.collect()
    return begun, events


# Steps of a payment there is --------------------------------------------------------------


def capture(
    payment: Payment,
    amount: int | None,
    accounts: Accounts,
    *,
    final: bool,
    command: UUID,
    actor: Actor,
    now: datetime,
) -> list[LedgerEvent]:
    """Books what was held, or part of it; the last capture releases the rest."""
    _check_single(payment, amount)
    payment.permit("capture", now)
    left = payment.left
    amounts = left if amount is None else (amount,)
    if any(want > has for want, has in zip(amounts, left, strict=True)):
        raise CaptureExceedsHold
    check_accounts(payment.postings, accounts)
    rest = tuple(has - want for want, has in zip(amounts, left, strict=True))
    final = final or not any(rest)
    released = rest if final else (0,) * len(rest)
    payment.trigger(
        PaymentCaptured, command, actor, now, amounts=amounts, released=released, final=final
    )
    return [
        *payment.collect(),
        *_enter(payment, amounts, accounts, command=command, actor=actor, now=now),
        *_release(payment, released, accounts, "captured", command=command, actor=actor, now=now),
    ]


def void(
    payment: Payment, accounts: Accounts, *, command: UUID, actor: Actor, now: datetime
) -> list[LedgerEvent]:
    """Releases what is left of a hold."""
    payment.permit("void", now)
    released = payment.left
    payment.trigger(PaymentVoided, command, actor, now, released=released)
    return payment.collect() + _release(
        payment, released, accounts, "voided", command=command, actor=actor, now=now
    )


def expire(
    payment: Payment, accounts: Accounts, *, command: UUID, actor: Actor, now: datetime
) -> list[LedgerEvent]:
    """Records that the deadline of what is held has passed; it has been free since."""
    if payment.state == "scheduled" or not payment.is_due(now):
        raise NothingDue
    released = payment.left
    payment.trigger(PaymentExpired, command, actor, now, released=released)
    return payment.collect() + _release(
        payment, released, accounts, "expired", command=command, actor=actor, now=now
    )


def execute(
    payment: Payment, accounts: Accounts, *, command: UUID, actor: Actor, now: datetime
) -> list[LedgerEvent]:
    """Settles a scheduled payment whose time has come, or refuses it."""
    if payment.scheduled is None or not payment.is_due(now):
        raise NothingDue
    order = scheduled_order(payment.scheduled)
    try:
        check_accounts(order.postings, accounts)
        order = check_money(order, accounts, now)
    except Refused as refused:
        payment.executed(
            PaymentRefused, order, command=command, actor=actor, now=now, refusal=refused.told
        )
        return payment.collect()
    payment.executed(PaymentSettled, order, command=command, actor=actor, now=now)
    return payment.collect() + _enter(
        payment, payment.captured, accounts, command=command, actor=actor, now=now
    )


def cancel(
    payment: Payment, accounts: Accounts, *, command: UUID, actor: Actor, now: datetime
) -> list[LedgerEvent]:
    """Takes back a payment that waits for its time, or for its payer."""
    payment.permit("cancel", now)
    if payment.state == "scheduled":
        payment.trigger(PaymentCanceled, command, actor, now)
        return payment.collect()
    released = payment.left
    payment.trigger(PaymentCanceled, command, actor, now, released=released)
    return payment.collect() + _release(
        payment, released, accounts, "canceled", command=command, actor=actor, now=now
    )


def confirm(
    payment: Payment, accounts: Accounts, *, command: UUID, actor: Actor, now: datetime
) -> list[LedgerEvent]:
    """The payer agrees: what is held is booked."""
    payment.permit("confirm", now)
    check_accounts(payment.postings, accounts)
    amounts = payment.left
    payment.trigger(PaymentConfirmed, command, actor, now, amounts=amounts)
    return payment.collect() + _enter(
        payment, amounts, accounts, command=command, actor=actor, now=now
    )


def decline(
    payment: Payment, accounts: Accounts, *, command: UUID, actor: Actor, now: datetime
) -> list[LedgerEvent]:
    """The payer doesn't: what is held is given back."""
    payment.permit("decline", now)
    released = payment.left
    payment.trigger(PaymentDeclined, command, actor, now, released=released)
    return payment.collect() + _release(
        payment, released, accounts, "declined", command=command, actor=actor, now=now
    )


# The accounts' part ------------------------------------------------------------------------


def _enter(
    payment: Payment,
    amounts: tuple[int, ...],
    accounts: Accounts,
    *,
    command: UUID,
    actor: Actor,
    now: datetime,
) -> list[LedgerEvent]:
    """Books amounts of its postings, posting by posting, the debit first."""
    value_date = payment.value_date or now.date()

    def enter(account: Account, leg: Leg) -> None:
        account.enter(
            leg,
            command=command,
            actor=actor,
            now=now,
            value_date=value_date,
            reference=payment.reference,
            carrier=payment.carrier,
            hold_expires_at=payment.expires_at,
        )

    return _on_each(payment, amounts, accounts, enter)


def _hold(
    payment: Payment, accounts: Accounts, expires_at: datetime, actor: Actor, now: datetime
) -> list[LedgerEvent]:
    def hold(account: Account, leg: Leg) -> None:
        account.hold(leg, actor=actor, now=now, expires_at=expires_at, carrier=payment.carrier)

    return _on_each(payment, payment.left, accounts, hold)


def _release(
    payment: Payment,
    amounts: tuple[int, ...],
    accounts: Accounts,
    reason: str,
    *,
    command: UUID,
    actor: Actor,
    now: datetime,
) -> list[LedgerEvent]:
    expires_at = payment.expires_at
    assert expires_at is not None

    def release(account: Account, leg: Leg) -> None:
        account.release(
            leg, command=command, actor=actor, now=now, expires_at=expires_at, reason=reason
        )

    return _on_each(payment, amounts, accounts, release)


def _on_each(
    payment: Payment,
    amounts: tuple[int, ...],
    accounts: Accounts,
    act: Callable[[Account, Leg], None],
) -> list[LedgerEvent]:
    """The events of both accounts of each posting, in order."""
    events: list[LedgerEvent] = []
    for index, (posting, amount) in enumerate(zip(payment.postings, amounts, strict=True)):
        if amount:
            whole = amount == posting.amount_minor
            moved = posting if whole else posting._replace(amount_minor=amount)
            for leg in (
                Leg(payment.id, index, "debit", moved),
                Leg(payment.id, index, "credit", moved),
            ):
                account = accounts[leg.account]
                act(account, leg)
                events += account.collect()
    return events


def _check_single(payment: Payment, amount: int | None) -> None:
    if amount is not None and len(payment.postings) > 1:
        raise AmountOfSeveralPostings
