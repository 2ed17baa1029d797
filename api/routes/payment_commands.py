"""POST /v1/payments."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api import examples
from api.answer_models import PaymentMade
from api.auth import PAYS
from api.commands import carry_out, identity
from api.models import PaymentBody
from api.operations import operation
from api.requests import read_body
from application.commands import MakePayment
from domain.events import Posting
from domain.order import PaymentOrder
from domain.refusals import REFUSED

router = APIRouter(tags=["payments"])


@router.post(
    "/v1/payments",
    **operation(
        "makePayment",
        "Make a payment: all its postings or none",
        description=(
            "A posting moves `amount` minor units from the account it debits to the account it "
            "credits. A refusal is recorded under the key, with its `payment_id` and `position`."
        ),
        allowed=PAYS,
        body=PaymentBody,
        body_example=examples.PAYMENT,
        status=201,
        answer=PaymentMade,
        example=examples.PAYMENT_MADE,
        problems=tuple(REFUSED),
    ),
)
async def make_payment(request: Request) -> Response:
    body, meaning = await read_body(request, PaymentBody)
    order = PaymentOrder(
        postings=tuple(
            Posting(posting.debit, posting.credit, posting.amount, posting.currency)
            for posting in body.postings
        ),
        mode=body.mode,
        carrier=body.carrier,
        reference=body.reference,
        value_date=body.value_date,
        metadata=body.metadata,
    )
    command = MakePayment(**identity(request), fingerprint=meaning, order=order)
    return await carry_out(request, command, status=201)
