"""From a payment's body to what the ledger is asked for."""

from typing import Any

from api.code_models import PaymentByCodeBody
from api.models import (
    BalanceConditionBody,
    ConditionBody,
    PaymentBody,
    PaymentTerms,
    PostingBody,
    UpToBody,
)
from domain.events import Condition, Posting
from domain.money import MAX_AMOUNT_MINOR
from domain.order import PaymentOrder


def order_of(body: PaymentBody) -> PaymentOrder:
    postings = body.postings
    up_to = tuple(_up_to(posting) for posting in postings)
    return PaymentOrder(
        postings=tuple(
            Posting(
                posting.debit,
                posting.credit,
                posting.amount if isinstance(posting.amount, int) else 0,
                posting.currency,
            )
            for posting in postings
        ),
        mode=body.mode,
        hold_timeout_s=body.hold_timeout_s,
        execute_at=body.execute_at,
        up_to=up_to if any(up_to) else (),
        **_terms(body),
    )


def order_by_code(body: PaymentByCodeBody) -> PaymentOrder:
    """Whom the code debits is not known yet."""
    return PaymentOrder(
        postings=tuple(
            Posting("", each.credit, each.amount, each.currency) for each in body.postings
        ),
        **_terms(body),
    )


def _terms(body: PaymentTerms) -> dict[str, Any]:
    return {
        "carrier": body.carrier,
        "reference": body.reference,
        "value_date": body.value_date,
        "metadata": body.metadata,
        "conditions": tuple(_condition(condition) for condition in body.conditions),
    }


def _up_to(posting: PostingBody) -> int:
    """At most how much is to be found; 0 where the amount is fixed."""
    match posting.amount:
        case UpToBody(up_to=most):
            return most
        case "all":
            return MAX_AMOUNT_MINOR
        case _:
            return 0


def _condition(condition: ConditionBody) -> Condition:
    if isinstance(condition, BalanceConditionBody):
        return Condition(condition.account, condition.balance, condition.op, str(condition.amount))
    return Condition(condition.account, "version", "eq", str(condition.version))
