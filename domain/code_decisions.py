"""What a payment comes to whose payer a code names: a pay code's or an offline device's.

As in domain/decisions.py, every function decides on copies, which it changes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from domain import decisions
from domain.checks import Accounts
from domain.decisions import Decision
from domain.device import Device
from domain.events import Actor, PaymentRefused
from domain.order import PaymentOrder
from domain.pay_code import PayCode
from domain.payment import Payment
from domain.refusals import PayCodeInvalid, Refused

CONFIRM_S: Final = 45
"""How long the payer may take to confirm."""

Payer = PayCode | Device


def pay(
    order: PaymentOrder,
    payer: Payer | None,
    accounts: Accounts,
    *,
    step: int | None,
    payment: UUID,
    fingerprint: bytes,
    actor: Actor,
    now: datetime,
) -> Decision:
    """A payment of one posting whose debited account is the payer's; None: no code was found.

    `step` is that of a device's code. The code is used unless the payment is refused. What depends
    on the clock has been checked: that comes before any code is looked for.
    """
    try:
        if payer is None:
            raise PayCodeInvalid
        order = _permitted(order, payer, step, now)
    except Refused as refused:
        # Of a code that isn't live nothing is told: the refusals are all alike.
        known = None if payer is None or isinstance(refused, PayCodeInvalid) else payer
        begun = Payment.begin(
            PaymentRefused,
            order if known is None else _paid_by(order, known),
            stream=payment,
            fingerprint=fingerprint,
            actor=actor,
            now=now,
            refusal=refused.told,
            paid_by=known and known.id,
        )
        return begun, begun.collect()
    begun, events = decisions.make(
        order, accounts, payment=payment, fingerprint=fingerprint, actor=actor, now=now
    )
    if begun.state != "refused":
        amount = order.postings[0].amount_minor
        if isinstance(payer, Device):
            payer.use(payment, amount, step, command=payment, actor=actor, now=now)
        else:
            payer.use(payment, amount, command=payment, actor=actor, now=now)
        events += payer.collect()
    return begun, events


def _permitted(order: PaymentOrder, payer: Payer, step: int | None, now: datetime) -> PaymentOrder:
    """The order as the payer's code allows it. Raises Refused."""
    (posting,) = order.postings
    if isinstance(payer, Device):
        payer.permit(posting, step, now)
        return _paid_by(order, payer)
    payer.permit(posting, now)
    paid = _paid_by(order, payer)
    return paid._replace(confirm_timeout_s=CONFIRM_S) if payer.asks(posting.amount_minor) else paid


def _paid_by(order: PaymentOrder, payer: Payer) -> PaymentOrder:
    (posting,) = order.postings
    return order._replace(postings=(posting._replace(debit=payer.debit_account),), paid_by=payer.id)
