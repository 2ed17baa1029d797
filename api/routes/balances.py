"""GET /v1/accounts/{id}/balance, /v1/balances, /v1/balances/total."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from api import examples, paths
from api.answer_models import Balance, Balances, Totals
from api.answers import listed, read
from api.auth import READS
from api.cursors import CursorCodec
from api.operations import operation
from api.parts import parts_of
from api.paths import AccountIdInPath
from api.queries import BalanceQuery, BalancesQuery, TotalsQuery
from api.reading import deadline_of, needed
from domain.ids import account_stream
from projections.balances import queries
from projections.reading import View
from projections.statements.queries import posted_by_value_date

router = APIRouter(tags=["balances"])


@router.get(
    "/v1/accounts/{id}/balance",
    **operation(
        "getBalance",
        "An account's balance, now or then",
        description=(
            "With `effective_at`, `posted` is what has a value date up to that day; nothing is "
            "pending then and `available` is null. Before the account was opened: zeros."
        ),
        allowed=READS,
        waits=True,
        positioned=True,
        answer=Balance,
        example=examples.BALANCE,
        problems=("not_found",),
    ),
)
async def get_balance(
    request: Request, id: AccountIdInPath, query: Annotated[BalanceQuery, Query()]
) -> Response:
    parts = parts_of(request)
    account = paths.account_id(id)
    deadline = deadline_of(request)
    then = await parts.reads.as_of(query)

    async def balance(view: View) -> dict[str, Any] | None:
        at, time = then or (view.position, parts.reads.now(view))
        return await queries.balance(view, account, at=at, time=time)

    _, found = await parts.reads.find(
        "balances",
        account_stream(parts.ledger, account),
        needed(query, then and then.position),
        deadline,
        balance,
    )
    position = found["position"]
    if query.effective_at is not None:
        async with parts.reads.at("statements", position, deadline) as view:
            posted = await posted_by_value_date(view, account, query.effective_at, position)
        found |= {"posted": posted, "pending_debit": 0, "pending_credit": 0, "available": None}
    return read(found, position)


@router.get(
    "/v1/balances",
    **operation(
        "listBalances",
        "Balances in order of account id",
        allowed=READS,
        waits=True,
        positioned=True,
        answer=Balances,
        example=examples.listed(examples.BALANCE),
        problems=("cursor_invalid",),
    ),
)
async def list_balances(request: Request, query: Annotated[BalancesQuery, Query()]) -> Response:
    codec = CursorCodec(request.url.path, query.filters(), (str,))
    cursor = codec.read(query.cursor)
    reads = parts_of(request).reads
    async with reads.at("balances", needed(query), deadline_of(request)) as view:
        page = await queries.balances(
            view,
            time=reads.now(view),
            prefix=query.prefix or "",
            after=cursor.keys[0] if cursor else "",
            limit=query.limit,
        )
    return listed(page.items, codec.write(page.next), view.position)


@router.get(
    "/v1/balances/total",
    **operation(
        "getBalanceTotals",
        "Sums of balances by currency and normal side",
        allowed=READS,
        waits=True,
        positioned=True,
        answer=Totals,
        example=examples.TOTALS,
    ),
)
async def get_totals(request: Request, query: Annotated[TotalsQuery, Query()]) -> Response:
    reads, deadline = parts_of(request).reads, deadline_of(request)
    at = await reads.sums_at(None, query.min_position, deadline)
    async with reads.at("balances", at, deadline) as view:
        body = await queries.totals(view, time=reads.now(view), prefix=query.prefix or "", at=at)
    return read(body, at)
