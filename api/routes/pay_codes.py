"""POST /v1/pay-codes, GET /v1/pay-codes/{id}, /v1/pay-codes/{id}/carrier."""

import asyncio
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from api import code_examples, paths
from api.answers import read
from api.auth import PAYS, READS, caller_of
from api.code_answer_models import PayCode, PayCodeMade
from api.code_models import PayCodeBody
from api.commands import decided, identity, respond
from api.operations import operation
from api.parts import Parts, parts_of
from api.paths import PayCodeIdInPath
from api.problems import Problem
from api.queries import CarrierQuery, Read
from api.reading import deadline_of, needed
from api.requests import read_body
from application.answers import Answer
from application.commands import IssuePayCode
from infrastructure.carriers import nfc, pictures, sound
from infrastructure.carriers.failures import CarrierUnavailable
from projections.payments import codes_queries

router = APIRouter(tags=["pay codes"])

_CARRIERS: Final[dict[tuple[str, str], tuple[str, Any]]] = {
    ("qr", "png"): ("image/png", pictures.qr_png),
    ("qr", "svg"): ("image/svg+xml", pictures.qr_svg),
    ("barcode", "png"): ("image/png", pictures.barcode_png),
    ("barcode", "svg"): ("image/svg+xml", pictures.barcode_svg),
}


@router.post(
    "/v1/pay-codes",
    **operation(
        "issuePayCode",
        "Make a code that a payer may show, once",
        description=(
            "24 digits, the last one a check digit. Whoever credits an account with them debits "
            "`debit_account`, by `max_amount` at most, until `expires_at`. `code` is shown in this "
            "answer, and in a replay until it is used or over; nothing else ever shows it."
        ),
        allowed=PAYS,
        body=PayCodeBody,
        body_example=code_examples.PAY_CODE,
        status=201,
        answer=PayCodeMade,
        example=code_examples.PAY_CODE_MADE,
        problems=("account_unknown", "account_closed", "currency_mismatch"),
    ),
)
async def issue_pay_code(request: Request) -> Response:
    body, meaning = await read_body(request, PayCodeBody)
    parts = parts_of(request)
    own = identity(request)
    command = IssuePayCode(
        **own,
        fingerprint=meaning,
        account=body.debit_account,
        pay_code=parts.pay_codes.issued(own["id"]),
        currency=body.currency,
        max_amount_minor=body.max_amount,
        confirm_above_minor=body.confirm_above,
        expires_in_s=body.expires_in_s,
    )
    answer = await decided(request, command)
    code = None
    if not command.dry_run and await _is_live(answer, parts):
        code = parts.pay_codes.digits(command.id, UUID(answer.body["id"]))
    return respond(command, answer, {**answer.body, "code": code}, status=201)


async def _is_live(answer: Answer, parts: Parts) -> bool:
    """A replay shows the code as it was made: what has become of it, its stream knows."""
    if not answer.replayed:
        return True
    return await parts.events.pay_code_is_live(UUID(answer.body["id"]), parts.clock())


@router.get(
    "/v1/pay-codes/{id}",
    **operation(
        "getPayCode",
        "A pay code, without its digits",
        allowed=READS,
        waits=True,
        positioned=True,
        answer=PayCode,
        example=code_examples.PAY_CODE_READ,
        problems=("not_found",),
    ),
)
async def get_pay_code(
    request: Request, id: PayCodeIdInPath, query: Annotated[Read, Query()]
) -> Response:
    position, found = await _found(request, id, query)
    return read(found, position)


@router.get(
    "/v1/pay-codes/{id}/carrier",
    **operation(
        "getPayCodeCarrier",
        "A pay code as a picture, an NFC message or a sound",
        description=(
            "Only for the caller that made it. QR, barcode and sound carry its 24 digits, NDEF "
            "one URI record `tally:pay?c=CODE`. Sound needs the extra `sonic`."
        ),
        allowed=PAYS,
        waits=True,
        positioned=True,
        answer=None,
        example=None,
        also=code_examples.CARRIERS,
        problems=("not_found", "gone", "carrier_unavailable"),
    ),
)
async def get_carrier(
    request: Request, id: PayCodeIdInPath, query: Annotated[CarrierQuery, Query()]
) -> Response:
    position, found = await _found(request, id, query)
    parts, pay_code = parts_of(request), UUID(found["id"])
    issued = await parts.events.pay_code(pay_code)
    if issued.actor.caller != caller_of(request).name:
        raise Problem("forbidden", "Only the caller that made a code may show it.")
    digits = parts.pay_codes.digits(issued.command, pay_code)
    live = found["state"] == "live"
    if live:  # so far as the read model knows, which may be behind
        live = await parts.events.pay_code_is_live(pay_code, parts.clock())
    if not live or digits is None:
        raise Problem("gone")
    media_type, content = await asyncio.to_thread(_carried, digits, query)
    headers = {"Ledger-Position": str(position), "Cache-Control": "no-store"}
    return Response(content, media_type=media_type, headers=headers)


def _carried(digits: str, query: CarrierQuery) -> tuple[str, bytes]:
    match query.as_:
        case "ndef":
            return "application/octet-stream", nfc.ndef_message(digits)
        case "wav":
            try:
                return "audio/wav", sound.wav(digits)
            except CarrierUnavailable:
                raise Problem("carrier_unavailable") from None
        case _:
            media_type, draw = _CARRIERS[query.as_, query.image]
            return media_type, draw(digits)


async def _found(request: Request, id: str, query: Read) -> tuple[int, dict[str, Any]]:
    parts = parts_of(request)
    pay_code = paths.payment_id(id)
    return await parts.reads.find(
        "payments",
        pay_code,
        needed(query),
        deadline_of(request),
        lambda view: codes_queries.pay_code(view, pay_code, now=parts.reads.now(view)),
    )
