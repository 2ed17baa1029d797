"""GET /v1/events, /v1/events/{position}: the history itself, straight from the store."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api import examples, history, paths
from api.accepts import prefers
from api.answer_models import Event, Events
from api.answers import listed, read
from api.auth import AUDITS
from api.cursors import CursorCodec
from api.operations import operation
from api.parts import parts_of
from api.paths import PositionInPath
from api.problems import Problem, invalid, parameter_error
from api.queries import EventsQuery, position_number

router = APIRouter(tags=["events"])

EVENT_STREAM = "text/event-stream"


@router.get(
    "/v1/events",
    **operation(
        "listEvents",
        "The event history, ascending",
        description=(
            "Without a filter no position is left out. With `type` a page looks at most 10,000 "
            "positions on, so it may be short and have a cursor. With "
            "`Accept: text/event-stream` it follows live: `id:` is the position, and "
            "`Last-Event-ID` resumes."
        ),
        allowed=AUDITS,
        positioned=True,
        answer=Events,
        example=examples.listed(examples.EVENT),
        problems=("cursor_invalid", "position_unknown"),
        also={
            EVENT_STREAM: {
                "schema": {"type": "string"},
                "example": 'id: 1\ndata: {"position":1,"type":"tally.account.opened.v1"}\n\n',
            }
        },
    ),
)
async def list_events(request: Request, query: Annotated[EventsQuery, Query()]) -> Response:
    parts = parts_of(request)
    filters = history.Filters.of(query, parts.ledger)
    live = prefers(request, EVENT_STREAM)
    after, version = _resumed(request, query) if live else query.after, 0
    end = await parts.events.end()
    if after > end:  # of another history: its client must know that it lacks what is here
        raise Problem("position_unknown")
    if live:
        return StreamingResponse(
            history.live(request, filters, after),
            media_type=EVENT_STREAM,
            headers={"Cache-Control": "no-store", "Ledger-Position": str(after)},
        )
    codec = CursorCodec(request.url.path, query.filters(), (int, int))
    cursor = codec.read(query.cursor)
    if cursor:
        after, version = cursor.keys
    found, go_on = await history.page(parts.events, filters, after, version, query.limit, end)
    next_cursor = codec.write(go_on) if go_on else None
    return listed([history.item(one) for one in found], next_cursor, end)


def _resumed(request: Request, query: EventsQuery) -> int:
    """The position a client has seen last."""
    sent = request.headers.get("last-event-id")
    if sent is None:
        return query.after
    try:
        return position_number(sent)
    except ValueError:
        told = "Send the last id as it was given: a position."
        raise invalid([parameter_error("Last-Event-ID", "wrong_format", told)]) from None


@router.get(
    "/v1/events/{position}",
    **operation(
        "getEvent",
        "The event at a position",
        allowed=AUDITS,
        positioned=True,
        answer=Event,
        example=examples.EVENT,
        problems=("not_found",),
    ),
)
async def get_event(request: Request, position: PositionInPath) -> Response:
    events = parts_of(request).events
    found = await events.event(paths.position(position))
    if found is None:
        raise Problem("not_found")
    return read(history.item(found), await events.end())
