"""GET /v1/trial-balance, /v1/trial-balance/accounts."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from api import examples
from api.answer_models import TrialBalance, TrialBalanceLines
from api.answers import listed, read
from api.auth import READS
from api.cursors import CursorCodec
from api.operations import operation
from api.parts import parts_of
from api.queries import TrialBalanceAccountsQuery, TrialBalanceQuery
from api.reading import deadline_of, needed
from projections.balances import queries

router = APIRouter(tags=["balances"])


@router.get(
    "/v1/trial-balance",
    **operation(
        "getTrialBalance",
        "Sums of debit balances and of credit balances: equal, always",
        description="As of a position within a payment: at the end of the command before it.",
        allowed=READS,
        waits=True,
        positioned=True,
        answer=TrialBalance,
        example=examples.TRIAL_BALANCE,
    ),
)
async def get_trial_balance(
    request: Request, query: Annotated[TrialBalanceQuery, Query()]
) -> Response:
    reads = parts_of(request).reads
    deadline = deadline_of(request)
    at = await reads.sums_at(await reads.as_of(query), query.min_position, deadline)
    async with reads.at("balances", needed(query, at), deadline) as view:
        body = await queries.trial_balance(view, at=at)
    return read(body, body["position"])


@router.get(
    "/v1/trial-balance/accounts",
    **operation(
        "listTrialBalance",
        "What each account holds, on its debit or on its credit side",
        description="All pages are true at one position: that of the first one.",
        allowed=READS,
        waits=True,
        positioned=True,
        answer=TrialBalanceLines,
        example=examples.listed(examples.TRIAL_BALANCE_LINE),
        problems=("cursor_invalid",),
    ),
)
async def list_trial_balance(
    request: Request, query: Annotated[TrialBalanceAccountsQuery, Query()]
) -> Response:
    reads = parts_of(request).reads
    deadline = deadline_of(request)
    codec = CursorCodec(request.url.path, query.filters(), (str,))
    cursor = codec.read(query.cursor)
    at = cursor.position if cursor else None
    if at is None:
        at = await reads.sums_at(await reads.as_of(query), query.min_position, deadline)
    async with reads.at("balances", needed(query, at), deadline) as view:
        page = await queries.trial_balance_accounts(
            view, after=cursor.keys[0] if cursor else "", limit=query.limit, at=at
        )
    return listed(page.items, codec.write(page.next, at), at)
