"""From a parsed command to its answer: what the writer says, as HTTP."""

import asyncio
import re
from functools import cache
from typing import Any, Final
from uuid import UUID, uuid4

from starlette.requests import Request
from starlette.responses import Response

from api.answers import answered
from api.auth import caller_of
from api.metrics import Metrics
from api.parts import parts_of
from api.problems import Problem, body_error, invalid
from api.request_ids import request_id_of
from api.requests import has_key, read_flag, read_key
from application.answers import Answer
from application.commands import Command
from application.ports import StorageFull, StoreUnavailable
from application.writer import Overloaded
from domain.events import Actor
from domain.ids import command_stream
from domain.refusals import (
    AmountOfSeveralPostings,
    ExecuteAtOutOfRange,
    Refusal,
    TooManyAttempts,
    ValueDateOutOfRange,
)

REPLAYED: Final = {"Idempotent-Replayed": "true"}
UNANSWERED: Final[dict[type[Exception], str]] = {
    Overloaded: "overloaded",
    StorageFull: "storage_full",
    StoreUnavailable: "store_unavailable",
}
"""Codes of what the writer raises that is no refusal."""

_OUT_OF_RANGE: Final[dict[type[Refusal], tuple[str, str]]] = {
    ValueDateOutOfRange: ("value_date", "out_of_range"),
    ExecuteAtOutOfRange: ("execute_at", "out_of_range"),
    AmountOfSeveralPostings: ("amount", "not_allowed"),
}
"""What only the ledger can know of a request's shape: the member, and the error's code."""


def identity(request: Request) -> dict[str, Any]:
    """A command's id and actor, and whether it is a dry run. Raises Problem as read_key does."""
    dry_run = read_flag(request, "dry_run")
    unkeyed = dry_run and not has_key(request)
    return {
        "id": uuid4() if unkeyed else command_id(request, read_key(request)),
        "actor": actor_of(request),
        "dry_run": dry_run,
    }


def command_id(request: Request, key: str) -> UUID:
    return command_stream(parts_of(request).ledger, caller_of(request).name, key)


def actor_of(request: Request) -> Actor:
    caller = caller_of(request)
    return Actor(caller.name, caller.key_id, request_id_of(request.scope))


async def carry_out(request: Request, command: Command, *, status: int = 200) -> Response:
    """Has the command decided; answers with `status` where it was accepted, 200 in a dry run.

    Raises Problem for what was refused or is not known.
    """
    answer = await decided(request, command)
    return respond(command, answer, answer.body, status=status)


def respond(command: Command, answer: Answer, body: dict[str, Any], *, status: int) -> Response:
    """An accepted command's answer with that body; its status and headers are as of carry_out."""
    return answered(
        body,
        status=200 if command.dry_run else status,
        headers=REPLAYED if answer.replayed else {},
    )


async def decided(request: Request, command: Command) -> Answer:
    """What the command comes to. Raises Problem as carry_out does."""
    parts = parts_of(request)
    result: Answer | Exception
    try:
        # Shielded: a client that goes away doesn't call off what may be under way.
        result = await asyncio.shield(asyncio.wrap_future(parts.writer.submit(command)))
    except Exception as error:  # noqa: BLE001 (raised as what it means)
        result = error
    return accepted(command, result, parts.metrics)


def accepted(command: Command, result: Answer | Exception, metrics: Metrics) -> Answer:
    """What the writer answers where it accepted the command.

    Raises Problem for what was refused or is not known, a defect as it is.
    """
    if isinstance(result, Refusal):
        _count(command, result.code, metrics)
        raise refused(result) from None
    if isinstance(result, Exception):
        if type(result) in UNANSWERED:
            raise Problem(UNANSWERED[type(result)]) from None
        raise result
    refusal = result.refusal
    _count(command, refusal["code"] if refusal else "accepted", metrics, result.replayed)
    if refusal:
        raise Problem(
            headers=REPLAYED if result.replayed else {}, **refusal, position=result.position
        )
    return result


def refused(refusal: Refusal) -> Problem:
    """A refusal of which nothing is recorded."""
    if type(refusal) in _OUT_OF_RANGE:
        member, code = _OUT_OF_RANGE[type(refusal)]
        return invalid([body_error((member,), code, refusal.detail)])
    headers = {}
    if isinstance(refusal, TooManyAttempts):
        headers["Retry-After"] = str(refusal.retry_after_s)
    return Problem(refusal.code, refusal.detail, headers=headers, **refusal.members)


def _count(command: Command, outcome: str, metrics: Metrics, replayed: bool = False) -> None:
    if not command.dry_run:
        metrics.decided(_name(type(command)), outcome, replayed=replayed)


@cache
def _name(kind: type[Command]) -> str:
    """`make_payment` of MakePayment."""
    return re.sub(r"\B(?=[A-Z])", "_", kind.__name__).lower()
