"""From a parsed command to its answer: what the writer says, as HTTP."""

import asyncio
from typing import Any, Final
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from api.answers import answered
from api.auth import caller_of
from api.parts import parts_of
from api.problems import Problem, body_error, invalid
from api.request_ids import request_id_of
from api.requests import read_key
from application.answers import Answer
from application.commands import Command
from application.ports import StorageFull, StoreUnavailable
from application.writer import Overloaded
from domain.events import Actor
from domain.ids import command_stream
from domain.refusals import Undecided, ValueDateOutOfRange

REPLAYED: Final = {"Idempotent-Replayed": "true"}


def identity(request: Request) -> dict[str, Any]:
    """A command's id and actor. Raises Problem as read_key does."""
    caller = caller_of(request)
    return {
        "id": command_id(request),
        "actor": Actor(caller.name, caller.key_id, request_id_of(request.scope)),
    }


def command_id(request: Request) -> UUID:
    return command_stream(parts_of(request).ledger, caller_of(request).name, read_key(request))


async def carry_out(request: Request, command: Command, *, status: int = 200) -> Response:
    """Has the command decided; answers with `status` where it was accepted.

    Raises Problem for what was refused or is not known.
    """
    parts = parts_of(request)
    try:
        # Shielded: a client that goes away doesn't call off what may be under way.
        answer = await asyncio.shield(asyncio.wrap_future(parts.writer.submit(command)))
    except Undecided as undecided:
        parts.metrics.decided(undecided.code, replayed=False)
        raise _undecided(undecided) from None
    except Overloaded:
        raise Problem("overloaded") from None
    except StorageFull:
        raise Problem("storage_full") from None
    except StoreUnavailable:
        raise Problem("store_unavailable") from None
    refusal = answer.refusal
    parts.metrics.decided(refusal["code"] if refusal else "accepted", replayed=answer.replayed)
    headers = REPLAYED if answer.replayed else {}
    if refusal:
        raise _refused(refusal, answer, headers)
    return answered(answer.body, status=status, headers=headers)


def _undecided(undecided: Undecided) -> Problem:
    if isinstance(undecided, ValueDateOutOfRange):
        return invalid([body_error(("value_date",), "out_of_range", undecided.detail)])
    return Problem(undecided.code, undecided.detail, **undecided.members)


def _refused(refusal: dict[str, Any], answer: Answer, headers: dict[str, str]) -> Problem:
    members = {name: value for name, value in refusal.items() if name != "code"}
    return Problem(
        refusal["code"],
        headers=headers,
        **members,
        position=answer.position,
    )
