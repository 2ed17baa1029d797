"""GET /v1/accounts/{id}/qr."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from api import paths, qr
from api.auth import READS
from api.operations import operation
from api.parts import parts_of
from api.paths import AccountIdInPath
from api.queries import QrQuery
from api.reading import deadline_of, needed
from domain.ids import account_stream
from projections.accounts import queries

router = APIRouter(tags=["accounts"])


@router.get(
    "/v1/accounts/{id}/qr",
    **operation(
        "getAccountQr",
        "A QR code by which an account is paid any amount",
        description="EMVCo merchant-presented, static: the payer chooses the amount.",
        allowed=READS,
        waits=True,
        positioned=True,
        answer=None,
        example=None,
        also=qr.CONTENT,
        problems=("not_found",),
    ),
)
async def get_account_qr(
    request: Request, id: AccountIdInPath, query: Annotated[QrQuery, Query()]
) -> Response:
    parts = parts_of(request)
    account = paths.account_id(id)
    position, found = await parts.reads.find(
        "accounts",
        account_stream(parts.ledger, account),
        needed(query),
        deadline_of(request),
        lambda view: queries.account(view, account),
    )
    text = parts.shop_qr.of_account(account, currency=found["currency"])
    return await qr.drawn(text, query.as_, position)
