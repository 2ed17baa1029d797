"""GET /v1/accounts, /v1/accounts/{id}."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from api import examples, paths
from api.answer_models import Account, Accounts
from api.answers import listed, read
from api.auth import READS
from api.cursors import CursorCodec
from api.operations import operation
from api.parts import parts_of
from api.paths import AccountIdInPath
from api.queries import AccountsQuery, Read
from api.reading import deadline_of, needed
from domain.ids import account_stream
from projections.accounts import queries

router = APIRouter(tags=["accounts"])


@router.get(
    "/v1/accounts",
    **operation(
        "listAccounts",
        "Accounts in order of id",
        allowed=READS,
        waits=True,
        positioned=True,
        answer=Accounts,
        example=examples.listed(examples.ACCOUNT),
        problems=("cursor_invalid",),
    ),
)
async def list_accounts(request: Request, query: Annotated[AccountsQuery, Query()]) -> Response:
    codec = CursorCodec(request.url.path, query.filters(), (str,))
    cursor = codec.read(query.cursor)
    async with parts_of(request).reads.at("accounts", needed(query), deadline_of(request)) as view:
        page = await queries.accounts(
            view,
            prefix=query.prefix or "",
            status=query.status,
            currency=query.currency,
            after=cursor.keys[0] if cursor else "",
            limit=query.limit,
        )
    return listed(page.items, codec.write(page.next), view.position)


@router.get(
    "/v1/accounts/{id}",
    **operation(
        "getAccount",
        "An account",
        allowed=READS,
        waits=True,
        positioned=True,
        answer=Account,
        example=examples.ACCOUNT,
        problems=("not_found",),
    ),
)
async def get_account(
    request: Request, id: AccountIdInPath, query: Annotated[Read, Query()]
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
    return read(found, position)
