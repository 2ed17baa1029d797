"""POST /v1/payments/bulk."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from api import examples
from api.answer_models import BulkAnswer
from api.auth import PAYS
from api.bulk import (
    Line,
    bulk_refused,
    command_of,
    decided_in_turn,
    decided_together,
    read_lines,
    told_line,
    understood_lines,
)
from api.code_models import BulkLineBody
from api.operations import LINES, operation
from api.problems import Problem
from api.requests import read_flag
from api.whole_path import WholePath
from application.answers import Answer

router = APIRouter(tags=["payments"], route_class=WholePath)

_AT_ONCE: Final = 200
"""Lines that are written in one piece."""


@router.post(
    "/v1/payments/bulk",
    **operation(
        "payInBulk",
        "Make many payments, one a line",
        description=(
            "Each line (`BulkLineBody`) is the same request as `POST /v1/payments` with its "
            "other members; lines are decided in order, each with a key of its own, and answered "
            "one line each (`BulkAnswer`): `status`, `replayed`, and the payment or the problem. "
            "At most 10,000 lines or 8 MiB. With `atomic`, `bulk_refused` names the first line "
            "that can't be understood, else the first that is refused, and has its problem in "
            "`problem`; nothing is recorded."
        ),
        allowed=PAYS,
        body=BulkLineBody,
        body_example=examples.BULK,
        answer=BulkAnswer,
        example=examples.BULK_ANSWERS,
        problems=("bulk_refused", "overloaded", "storage_full"),
        lines=True,
        flags={"atomic": "All or none; lines that were settled before count as such"},
    ),
)
async def pay_in_bulk(request: Request) -> Response:
    dry_run = read_flag(request, "dry_run")
    atomic = read_flag(request, "atomic")
    lines = understood_lines(request, await read_lines(request), dry_run=dry_run)
    if not atomic and not dry_run:
        return StreamingResponse(decided_in_turn(request, lines), media_type=LINES)
    # Beside the loop: to understand 10,000 lines takes long enough for others to notice.
    understood = await asyncio.to_thread(list, lines)
    commands = [await command_of(request, line, dry_run=dry_run) for line in understood]
    if atomic:
        for number, line in enumerate(commands):
            if isinstance(line, Problem):
                raise bulk_refused(request, number, line)
    results = await decided_together(request, commands, all_or_none=atomic, dry_run=dry_run)
    return StreamingResponse(_told(request, commands, results), media_type=LINES)


async def _told(
    request: Request, lines: Sequence[Line], results: Sequence[Answer | Exception | None]
) -> AsyncIterator[bytes]:
    for first in range(0, len(lines), _AT_ONCE):
        some = range(first, min(first + _AT_ONCE, len(lines)))
        yield b"".join(told_line(request, lines[n], results[n]) for n in some)
        await asyncio.sleep(0)  # others' turn
