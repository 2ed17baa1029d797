"""GET /v1/payments, /v1/payments/{id}, /v1/payments/{id}/timeline."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from api import examples, paths
from api.answer_models import Payment, Payments, Timeline
from api.answers import listed, read
from api.auth import READS
from api.cursors import CursorCodec
from api.operations import operation
from api.parts import parts_of
from api.paths import PaymentIdInPath
from api.queries import Page, PaymentsQuery, Read
from api.reading import deadline_of, needed
from application.answers import Recorded
from domain.confirmation_events import PaymentConfirmed, PaymentDeclined
from domain.events import (
    LedgerEvent,
    PaymentCanceled,
    PaymentCaptured,
    PaymentDecided,
    PaymentExpired,
    PaymentRefunded,
    PaymentVoided,
)
from domain.times import time_text
from projections.payments import queries
from projections.reading import NEWEST

router = APIRouter(tags=["payments"])


@router.get(
    "/v1/payments",
    **operation(
        "listPayments",
        "Payments, newest first; refused ones too",
        allowed=READS,
        waits=True,
        positioned=True,
        answer=Payments,
        example=examples.listed(examples.PAYMENT_READ),
        problems=("cursor_invalid",),
    ),
)
async def list_payments(request: Request, query: Annotated[PaymentsQuery, Query()]) -> Response:
    codec = CursorCodec(request.url.path, query.filters(), (int,))
    cursor = codec.read(query.cursor)
    parts = parts_of(request)
    async with parts.reads.at("payments", needed(query), deadline_of(request)) as view:
        page = await queries.payments(
            view,
            now=parts.reads.now(view),
            account=query.account,
            reference=query.reference,
            state=query.state,
            carrier=query.carrier,
            created_from=query.created_from,
            created_to=query.created_to,
            before=cursor.keys[0] if cursor else NEWEST,
            limit=query.limit,
        )
    return listed(page.items, codec.write(page.next), view.position)


@router.get(
    "/v1/payments/{id}",
    **operation(
        "getPayment",
        "A payment",
        allowed=READS,
        waits=True,
        positioned=True,
        answer=Payment,
        example=examples.PAYMENT_READ,
        problems=("not_found",),
    ),
)
async def get_payment(
    request: Request, id: PaymentIdInPath, query: Annotated[Read, Query()]
) -> Response:
    parts = parts_of(request)
    payment = paths.payment_id(id)
    position, found = await parts.reads.find(
        "payments",
        payment,
        needed(query),
        deadline_of(request),
        lambda view: queries.payment(view, payment, now=parts.reads.now(view)),
    )
    return read(found, position)


@router.get(
    "/v1/payments/{id}/timeline",
    **operation(
        "getPaymentTimeline",
        "What happened to a payment, ascending",
        description=(
            "`amount` is what the event moved, held or released; null where it did nothing of "
            "that, or is of a payment of several postings."
        ),
        allowed=READS,
        waits=True,
        positioned=True,
        answer=Timeline,
        example=examples.listed(examples.TIMELINE_ITEM),
        problems=("not_found", "cursor_invalid"),
    ),
)
async def get_timeline(
    request: Request, id: PaymentIdInPath, query: Annotated[Page, Query()]
) -> Response:
    parts = parts_of(request)
    payment = paths.payment_id(id)
    codec = CursorCodec(request.url.path, query.filters(), (int, int))
    cursor = codec.read(query.cursor)
    after, version = cursor.keys if cursor else (0, 0)
    position, _ = await parts.reads.find(
        "payments",
        payment,
        needed(query),
        deadline_of(request),
        lambda view: queries.payment(view, payment, now=parts.reads.now(view)),
    )
    found = [
        one
        for one in await parts.events.page_of_stream(payment, after, version, query.limit + 1)
        if one.position <= position
    ]
    items = found[: query.limit]
    last = None
    if len(found) > query.limit:
        last = (items[-1].position, items[-1].event.originator_version)
    return listed([_moment(one) for one in items], codec.write(last), position)


def _moment(recorded: Recorded) -> dict[str, Any]:
    position, event = recorded
    amounts = _amounts(event)
    return {
        "position": position,
        "recorded_at": time_text(event.timestamp),
        "type": event.TOPIC,
        "actor": event.actor._asdict(),
        # One of 0 is still to be found, or never was.
        "amount": amounts[0] or None if len(amounts) == 1 else None,
    }


def _amounts(event: LedgerEvent) -> Sequence[int]:
    """What it tells of each posting."""
    match event:
        case PaymentDecided():
            return [posting.amount_minor for posting in event.postings]
        case PaymentCaptured() | PaymentRefunded() | PaymentConfirmed():
            return event.amounts
        case PaymentVoided() | PaymentExpired() | PaymentDeclined():
            return event.released
        case PaymentCanceled():
            return event.released or ()
        case _:
            return ()
