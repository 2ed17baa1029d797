"""GET /v1/payment-requests, /v1/payment-requests/{id}, /v1/payment-requests/{id}/qr."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from api import examples as all_examples
from api import paths, qr
from api import payment_request_examples as examples
from api.answer_models import PaymentRequest, PaymentRequests
from api.answers import listed, read
from api.auth import READS
from api.cursors import CursorCodec
from api.operations import operation
from api.parts import parts_of
from api.paths import PaymentRequestIdInPath
from api.payment_requests import qr_text, shown, token_of
from api.problems import Problem
from api.queries import PaymentRequestsQuery, QrQuery, Read
from api.reading import deadline_of, needed
from infrastructure.carriers.shop_qr import AmountNotRepresentable
from projections.payments import requests_queries as queries
from projections.reading import NEWEST

router = APIRouter(tags=["payment requests"])


@router.get(
    "/v1/payment-requests",
    **operation(
        "listPaymentRequests",
        "Payment requests, newest first",
        allowed=READS,
        waits=True,
        positioned=True,
        answer=PaymentRequests,
        example=all_examples.listed(examples.OPENED),
        problems=("cursor_invalid",),
    ),
)
async def list_payment_requests(
    request: Request, query: Annotated[PaymentRequestsQuery, Query()]
) -> Response:
    codec = CursorCodec(request.url.path, query.filters(), (int,))
    cursor = codec.read(query.cursor)
    parts = parts_of(request)
    async with parts.reads.at("payments", needed(query), deadline_of(request)) as view:
        page = await queries.requests(
            view,
            now=parts.reads.now(view),
            credit_account=query.credit_account,
            state=query.state,
            before=cursor.keys[0] if cursor else NEWEST,
            limit=query.limit,
        )
    items = [shown(each, parts) for each in page.items]
    return listed(items, codec.write(page.next), view.position)


@router.get(
    "/v1/payment-requests/{id}",
    **operation(
        "getPaymentRequest",
        "A payment request",
        allowed=READS,
        waits=True,
        positioned=True,
        answer=PaymentRequest,
        example=examples.OPENED,
        problems=("not_found",),
    ),
)
async def get_payment_request(
    request: Request, id: PaymentRequestIdInPath, query: Annotated[Read, Query()]
) -> Response:
    position, found = await _found(request, id, query)
    return read(shown(found, parts_of(request)), position)


@router.get(
    "/v1/payment-requests/{id}/qr",
    **operation(
        "getPaymentRequestQr",
        "A payment request's QR code",
        description="EMVCo merchant-presented, dynamic; the text is `qr_text`.",
        allowed=READS,
        waits=True,
        positioned=True,
        answer=None,
        example=None,
        also=qr.CONTENT,
        problems=("not_found", "gone", "amount_not_representable"),
    ),
)
async def get_payment_request_qr(
    request: Request, id: PaymentRequestIdInPath, query: Annotated[QrQuery, Query()]
) -> Response:
    parts = parts_of(request)
    position, found = await _found(request, id, query)
    token = token_of(found, parts)
    if token is None:
        raise Problem("gone", "The secret of this request's token is gone; open another request.")
    try:
        text = qr_text(found, token, parts)
    except AmountNotRepresentable:
        raise Problem("amount_not_representable") from None
    return await qr.drawn(text, query.as_, position)


async def _found(request: Request, id: str, query: Read) -> tuple[int, dict[str, Any]]:
    parts = parts_of(request)
    wanted = paths.payment_id(id)
    return await parts.reads.find(
        "payments",
        wanted,
        needed(query),
        deadline_of(request),
        lambda view: queries.request(view, wanted, now=parts.reads.now(view)),
    )
