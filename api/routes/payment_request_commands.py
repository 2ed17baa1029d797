"""POST /v1/payment-requests, PATCH …/{id}, POST …/{id}/cancel|pay."""

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api import paths
from api import payment_request_examples as examples
from api.answer_models import PaymentMade, PaymentRequest
from api.auth import PAYS
from api.commands import carry_out, decided, identity, respond
from api.models import EmptyBody
from api.operations import operation
from api.parts import parts_of
from api.paths import PaymentRequestIdInPath
from api.payment_request_models import (
    ChangePaymentRequestBody,
    OpenPaymentRequestBody,
    PayPaymentRequestBody,
)
from api.payment_requests import shown
from api.requests import read_body
from application.commands import (
    CancelPaymentRequest,
    ChangePaymentRequest,
    Command,
    OpenPaymentRequest,
    PayPaymentRequest,
)

router = APIRouter(tags=["payment requests"])

_OVER: Final = ("request_canceled", "request_paid", "request_expired")


@router.post(
    "/v1/payment-requests",
    **operation(
        "openPaymentRequest",
        "Ask to be paid: an order that waits for a payer",
        description=(
            "`url` and `qr_text` are for the payer: whoever has them may see the order, until it "
            "is paid, canceled or past `expires_at`. Without an amount the payer chooses it."
        ),
        allowed=PAYS,
        body=OpenPaymentRequestBody,
        body_example=examples.OPEN,
        status=201,
        answer=PaymentRequest,
        example=examples.OPENED,
        problems=("account_unknown", "account_closed", "currency_mismatch"),
    ),
)
async def open_payment_request(request: Request) -> Response:
    body, meaning = await read_body(request, OpenPaymentRequestBody)
    command = OpenPaymentRequest(
        **identity(request),
        fingerprint=meaning,
        credit_account=body.credit_account,
        amount_minor=body.amount,
        currency=body.currency,
        reference=body.reference,
        description=body.description,
        metadata=body.metadata,
        expires_in_s=body.expires_in_s,
        token_key=parts_of(request).request_tokens.key,
    )
    return await _carry_out(request, command, status=201)


@router.patch(
    "/v1/payment-requests/{id}",
    **operation(
        "changePaymentRequest",
        "Change an order that waits: a new revision",
        description=(
            "A payer who has been shown an earlier revision can't pay by it any more. `url` stays "
            "the same; a QR code holds the amount, so show it anew."
        ),
        allowed=PAYS,
        body=ChangePaymentRequestBody,
        body_example=examples.CHANGE,
        answer=PaymentRequest,
        example=examples.CHANGED,
        problems=("not_found", *_OVER),
    ),
)
async def change_payment_request(request: Request, id: PaymentRequestIdInPath) -> Response:
    body, meaning = await read_body(request, ChangePaymentRequestBody)
    changes = body.model_dump(include=body.model_fields_set)
    if "amount" in changes:
        changes["amount_minor"] = changes.pop("amount")
    command = ChangePaymentRequest(
        **identity(request),
        fingerprint=meaning,
        payment_request=paths.payment_named(id),
        changes=changes,
    )
    return await _carry_out(request, command)


@router.post(
    "/v1/payment-requests/{id}/cancel",
    **operation(
        "cancelPaymentRequest",
        "Take an order back: nobody can pay it any more",
        description="A second time changes nothing.",
        allowed=PAYS,
        body=EmptyBody,
        body_example={},
        answer=PaymentRequest,
        example=examples.CANCELED,
        problems=("not_found", "request_paid", "request_expired"),
    ),
)
async def cancel_payment_request(request: Request, id: PaymentRequestIdInPath) -> Response:
    _, meaning = await read_body(request, EmptyBody)
    command = CancelPaymentRequest(
        **identity(request), fingerprint=meaning, payment_request=paths.payment_named(id)
    )
    return await _carry_out(request, command)


@router.post(
    "/v1/payment-requests/{id}/pay",
    **operation(
        "payPaymentRequest",
        "Pay an order: a payment, and the order is paid, or neither",
        description=(
            "`revision` is the one that the payer has been shown: it is that which is paid, or "
            "nothing. The payment has the request's reference and metadata. What the request "
            "itself refuses makes no payment; a payment that is refused leaves it open."
        ),
        allowed=PAYS,
        body=PayPaymentRequestBody,
        body_example=examples.PAY,
        status=201,
        answer=PaymentMade,
        example=examples.PAID,
        problems=(
            "not_found",
            *_OVER,
            "revision_changed",
            "amount_required",
            "amount_fixed",
            "same_account",
            "account_unknown",
            "account_closed",
            "account_frozen",
            "currency_mismatch",
            "insufficient_funds",
            "max_balance_exceeded",
            "balance_overflow",
            "limit_exceeded",
        ),
    ),
)
async def pay_payment_request(request: Request, id: PaymentRequestIdInPath) -> Response:
    body, meaning = await read_body(request, PayPaymentRequestBody)
    command = PayPaymentRequest(
        **identity(request),
        fingerprint=meaning,
        payment_request=paths.payment_named(id),
        debit_account=body.debit_account,
        revision=body.revision,
        amount_minor=body.amount,
        carrier=body.carrier,
    )
    return await carry_out(request, command, status=201)


async def _carry_out(request: Request, command: Command, *, status: int = 200) -> Response:
    """As carry_out does, of a command that is answered with the payment request."""
    answer = await decided(request, command)
    return respond(command, answer, shown(answer.body, parts_of(request)), status=status)
