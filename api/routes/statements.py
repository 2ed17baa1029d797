"""GET /v1/accounts/{id}/statement, as JSON or CSV."""

from collections.abc import AsyncIterator
from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api import examples, paths
from api.accepts import prefers
from api.answer_models import Statement
from api.answers import read
from api.auth import READS, still_let_in, unauthenticated
from api.cursors import CursorCodec
from api.operations import operation
from api.parts import parts_of
from api.paths import AccountIdInPath
from api.problems import invalid, parameter_error
from api.queries import StatementQuery
from api.reading import deadline_of, needed
from domain.ids import account_stream
from projections.statements import queries
from projections.statements.export import csv_statement

router = APIRouter(tags=["statements"])

CSV = "text/csv"


@router.get(
    "/v1/accounts/{id}/statement",
    **operation(
        "getStatement",
        "An account's statement over a period",
        description=(
            "Opening balance + entries = closing balance. All pages are true at the position of "
            "the first one. With `Accept: text/csv` the whole period, streamed."
        ),
        allowed=READS,
        waits=True,
        positioned=True,
        answer=Statement,
        example=examples.STATEMENT,
        problems=("not_found", "cursor_invalid"),
        also={CSV: {"schema": {"type": "string"}, "example": examples.STATEMENT_CSV}},
    ),
)
async def get_statement(
    request: Request, id: AccountIdInPath, query: Annotated[StatementQuery, Query()]
) -> Response:
    if query.from_ > query.to:
        told = "`from` must not be after `to`."
        raise invalid([parameter_error("from", "too_large", told)])
    parts = parts_of(request)
    account = paths.account_id(id)
    keys = (int,) if query.by == "booking_date" else (date, int)
    codec = CursorCodec(request.url.path, query.filters(), keys)
    as_csv = prefers(request, CSV)
    cursor = None if as_csv else codec.read(query.cursor)
    at = cursor.position if cursor else None
    position, found = await parts.reads.find(
        "statements",
        account_stream(parts.ledger, account),
        needed(query, at),
        deadline_of(request),
        lambda view: queries.statement(
            view,
            account,
            from_=query.from_,
            to=query.to,
            by=query.by,
            after=tuple(cursor.keys) if cursor else None,
            at=at,
            limit=query.limit,
        ),
    )
    if as_csv:
        return StreamingResponse(
            _csv(request, account, query, position),
            media_type=f"{CSV}; charset=utf-8; header=present",
            headers={"Ledger-Position": str(position)},
        )
    at = found.body["position"]
    body = {
        **found.body,
        "next_cursor": codec.write(found.next, at) if found.next else None,
    }
    return read(body, at)


async def _csv(
    request: Request, account: str, query: StatementQuery, position: int
) -> AsyncIterator[bytes]:
    """Raises Problem: unauthenticated. A revoked key breaks the connection: what has been sent
    must not pass for the whole."""
    reader = parts_of(request).reads.reader
    lines = csv_statement(reader, account, from_=query.from_, to=query.to, by=query.by, at=position)
    async for piece in lines:
        if not await still_let_in(request):
            raise unauthenticated()
        yield piece.encode()
