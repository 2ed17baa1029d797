"""POST /v1/payments, POST /v1/payments/{id}/capture|void|cancel|refunds."""

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api import examples, paths
from api.answer_models import PaymentMade
from api.auth import PAYS
from api.commands import carry_out, identity
from api.models import CaptureBody, EmptyBody, PaymentBody, RefundBody
from api.operations import operation
from api.orders import order_of
from api.paths import PaymentIdInPath
from api.requests import read_body
from application.commands import (
    CancelPayment,
    CapturePayment,
    MakePayment,
    RefundPayment,
    VoidPayment,
)
from domain.refusals import REFUSED

router = APIRouter(tags=["payments"])

_NOT_OF_NEW_ONES: Final = (
    "request_canceled",
    "request_paid",
    "request_expired",
    "revision_changed",
    "amount_required",
    "amount_fixed",
    "payment_not_held",
    "hold_expired",
    "capture_exceeds_hold",
    "payment_not_refundable",
    "refund_exceeds_payment",
    "payment_not_cancelable",
)
_OF_ACCOUNTS: Final = ("account_closed", "account_frozen")
_OF_MONEY: Final = (
    "insufficient_funds",
    "max_balance_exceeded",
    "balance_overflow",
    "limit_exceeded",
)


@router.post(
    "/v1/payments",
    **operation(
        "makePayment",
        "Make a payment: all its postings or none",
        description=(
            "A posting moves `amount` minor units from the account it debits to the account it "
            "credits. `mode` hold reserves the money, to be captured or voided before its "
            "timeout; with `execute_at` the payment is decided then. A refusal is recorded under "
            "the key, with its `payment_id` and `position`."
        ),
        allowed=PAYS,
        body=PaymentBody,
        body_example=examples.PAYMENT,
        status=201,
        answer=PaymentMade,
        example=examples.PAYMENT_MADE,
        problems=tuple(code for code in REFUSED if code not in _NOT_OF_NEW_ONES),
    ),
)
async def make_payment(request: Request) -> Response:
    body, meaning = await read_body(request, PaymentBody)
    command = MakePayment(**identity(request), fingerprint=meaning, order=order_of(body))
    return await carry_out(request, command, status=201)


@router.post(
    "/v1/payments/{id}/capture",
    **operation(
        "capturePayment",
        "Book what is held, or part of it",
        description=(
            "May be repeated while `final` is false; the last one releases what is left. What "
            "adds up to the whole settles."
        ),
        allowed=PAYS,
        body=CaptureBody,
        body_example=examples.CAPTURE,
        answer=PaymentMade,
        example=examples.PAYMENT_CAPTURED,
        problems=(
            "not_found",
            "payment_not_held",
            "hold_expired",
            "capture_exceeds_hold",
            *_OF_ACCOUNTS,
        ),
    ),
)
async def capture_payment(request: Request, id: PaymentIdInPath) -> Response:
    body, meaning = await read_body(request, CaptureBody)
    command = CapturePayment(
        **identity(request),
        fingerprint=meaning,
        payment=paths.payment_named(id),
        amount_minor=body.amount,
        final=body.final,
    )
    return await carry_out(request, command)


@router.post(
    "/v1/payments/{id}/void",
    **operation(
        "voidPayment",
        "Release what is left of a hold",
        description="After a partial capture the payment is settled, else voided.",
        allowed=PAYS,
        body=EmptyBody,
        body_example={},
        answer=PaymentMade,
        example=examples.PAYMENT_VOIDED,
        problems=("not_found", "payment_not_held", "hold_expired"),
    ),
)
async def void_payment(request: Request, id: PaymentIdInPath) -> Response:
    _, meaning = await read_body(request, EmptyBody)
    command = VoidPayment(**identity(request), fingerprint=meaning, payment=paths.payment_named(id))
    return await carry_out(request, command)


@router.post(
    "/v1/payments/{id}/cancel",
    **operation(
        "cancelPayment",
        "Take back a scheduled payment before its time",
        allowed=PAYS,
        body=EmptyBody,
        body_example={},
        answer=PaymentMade,
        example=examples.PAYMENT_CANCELED,
        problems=("not_found", "payment_not_cancelable"),
    ),
)
async def cancel_payment(request: Request, id: PaymentIdInPath) -> Response:
    _, meaning = await read_body(request, EmptyBody)
    command = CancelPayment(
        **identity(request), fingerprint=meaning, payment=paths.payment_named(id)
    )
    return await carry_out(request, command)


@router.post(
    "/v1/payments/{id}/refunds",
    **operation(
        "refundPayment",
        "Give back what a payment moved, or part of it: a new payment",
        description=(
            "Its postings are the original's, the other way round. Together refunds never exceed "
            "what was captured; what is still held, or is a refund, can't be refunded."
        ),
        allowed=PAYS,
        body=RefundBody,
        body_example=examples.REFUND,
        status=201,
        answer=PaymentMade,
        example=examples.PAYMENT_REFUNDING,
        problems=(
            "not_found",
            "payment_not_refundable",
            "refund_exceeds_payment",
            *_OF_ACCOUNTS,
            *_OF_MONEY,
        ),
    ),
)
async def refund_payment(request: Request, id: PaymentIdInPath) -> Response:
    body, meaning = await read_body(request, RefundBody)
    command = RefundPayment(
        **identity(request),
        fingerprint=meaning,
        payment=paths.payment_named(id),
        amount_minor=body.amount,
    )
    return await carry_out(request, command, status=201)
