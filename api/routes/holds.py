"""GET /v1/accounts/{id}/holds."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from api import examples, paths
from api.answer_models import Holds
from api.answers import listed
from api.auth import READS
from api.cursors import CursorCodec
from api.operations import operation
from api.parts import parts_of
from api.paths import AccountIdInPath
from api.queries import Page
from api.reading import deadline_of, needed
from domain.ids import account_stream
from projections.balances import queries

router = APIRouter(tags=["balances"])


@router.get(
    "/v1/accounts/{id}/holds",
    **operation(
        "listHolds",
        "An account's open holds, in the order they were held",
        description=(
            "Those to be taken from it (`debit`) and those to come in (`credit`). What was "
            "captured of one in part is still a hold, of the rest; from its deadline on it is none."
        ),
        allowed=READS,
        waits=True,
        positioned=True,
        answer=Holds,
        example=examples.listed(examples.HOLD),
        problems=("cursor_invalid", "not_found"),
    ),
)
async def list_holds(
    request: Request, id: AccountIdInPath, query: Annotated[Page, Query()]
) -> Response:
    parts = parts_of(request)
    account = paths.account_id(id)
    codec = CursorCodec(request.url.path, query.filters(), (int,))
    cursor = codec.read(query.cursor)
    position, page = await parts.reads.find(
        "balances",
        account_stream(parts.ledger, account),
        needed(query),
        deadline_of(request),
        lambda view: queries.holds(
            view,
            account,
            time=parts.reads.now(view),
            after=cursor.keys[0] if cursor else 0,
            limit=query.limit,
        ),
    )
    return listed(page.items, codec.write(page.next), position)
