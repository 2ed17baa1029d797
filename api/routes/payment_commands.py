"""POST /v1/payments, POST /v1/payments/{id}/capture|void|cancel|refunds."""

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api import code_examples, examples, paths
from api.answer_models import PaymentMade
from api.auth import PAYS
from api.code_models import AnyPaymentBody
from api.codes import asked_payment, payment_command
from api.commands import carry_out, identity
from api.models import CaptureBody, EmptyBody, RefundBody
from api.operations import operation
from api.parts import parts_of
from api.paths import PaymentIdInPath
from api.requests import read_body, read_members
from application.commands import (
    CancelPayment,
    CapturePayment,
    ConfirmPayment,
    DeclinePayment,
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
    "payment_not_pending",
    "device_revoked",
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
            "timeout; with `execute_at` the payment is decided then. With a `pay_code` that the "
            "payer showed, it is the code that names the account to debit. A refusal is recorded "
            "under the key, with its `payment_id` and `position`."
        ),
        allowed=PAYS,
        body=AnyPaymentBody,
        body_example=examples.PAYMENT,
        status=201,
        answer=PaymentMade,
        example=examples.PAYMENT_MADE,
        problems=(
            *(code for code in REFUSED if code not in _NOT_OF_NEW_ONES),
            "too_many_attempts",
        ),
    ),
)
async def make_payment(request: Request) -> Response:
    asked = asked_payment(await read_members(request))
    command = await payment_command(asked, parts_of(request), **identity(request))
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
        "Take back a payment that waits for its time, or for its payer",
        allowed=PAYS,
        body=EmptyBody,
        body_example={},
        answer=PaymentMade,
        example=examples.PAYMENT_CANCELED,
        problems=("not_found", "payment_not_cancelable", "payment_not_pending"),
    ),
)
async def cancel_payment(request: Request, id: PaymentIdInPath) -> Response:
    _, meaning = await read_body(request, EmptyBody)
    command = CancelPayment(
        **identity(request), fingerprint=meaning, payment=paths.payment_named(id)
    )
    return await carry_out(request, command)


@router.post(
    "/v1/payments/{id}/confirm",
    **operation(
        "confirmPayment",
        "Agree to a payment by code, as its payer",
        description=(
            "What is held is booked. The first of confirm, decline, cancel and the deadline "
            "stands. Which person it is, the client's app knows: any client's key may."
        ),
        allowed=PAYS,
        body=EmptyBody,
        body_example={},
        answer=PaymentMade,
        example=code_examples.PAYMENT_CONFIRMED,
        problems=("not_found", "payment_not_pending", "account_frozen"),
    ),
)
async def confirm_payment(request: Request, id: PaymentIdInPath) -> Response:
    _, meaning = await read_body(request, EmptyBody)
    command = ConfirmPayment(
        **identity(request), fingerprint=meaning, payment=paths.payment_named(id)
    )
    return await carry_out(request, command)


@router.post(
    "/v1/payments/{id}/decline",
    **operation(
        "declinePayment",
        "Don't agree to a payment by code, as its payer",
        description="What is held is given back. The code is used all the same.",
        allowed=PAYS,
        body=EmptyBody,
        body_example={},
        answer=PaymentMade,
        example=code_examples.PAYMENT_DECLINED,
        problems=("not_found", "payment_not_pending"),
    ),
)
async def decline_payment(request: Request, id: PaymentIdInPath) -> Response:
    _, meaning = await read_body(request, EmptyBody)
    command = DeclinePayment(
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
