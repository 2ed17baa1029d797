"""Payments by the line: from a body's lines to commands, and their answers as lines."""

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

from starlette.requests import Request

from api.answers import encoded
from api.auth import still_let_in, unauthenticated
from api.codes import Asked, asked_payment, payment_command
from api.commands import REPLAYED, UNANSWERED, accepted, actor_of, command_id, refused
from api.operations import LINES
from api.parts import parts_of
from api.payment_parser import plain_payment
from api.problems import Problem, body_error, invalid
from api.request_ids import request_id_of
from api.requests import (
    A_KEY,
    MAX_BODY_BYTES,
    parsed,
    read_content,
    require_media_type,
    too_large,
    unquoted,
)
from application.answers import Answer
from application.batch import BulkRefused
from application.commands import Command, MakePayment, PayTogether
from application.ports import StorageFull, StoreUnavailable
from application.writer import CommandWriter, Overloaded

MAX_BYTES: Final = 8 * 1024 * 1024
MAX_LINES: Final = 10_000
PIECE: Final = 8
"""Lines that go to the writer, and are answered, at a time: one by one costs as much as deciding
them; others get their turn in between."""
AHEAD: Final = 8
"""Pieces of one body that wait for the writer."""

_PAUSE_S: Final = 0.01

_log = logging.getLogger(__name__)

Line = MakePayment | Problem
"""What a line asks for, or why it can't be understood."""


class Understood(NamedTuple):
    """A line before its code, where it has one, has been looked for."""

    asked: Asked
    id: UUID


async def read_lines(request: Request) -> list[bytes]:
    """The body's lines, but for a blank end.

    It is read whole before anything is decided: so a body that is too large leaves no trace, and
    a client may send all of it before it reads the first answer.
    Raises Problem: body_too_large, unsupported_media_type, invalid_request.
    """
    content = (await read_content(request, MAX_BYTES)).rstrip()
    if not content:
        return []
    require_media_type(request, LINES)
    if content.count(b"\n") >= MAX_LINES:
        raise Problem("body_too_large", f"Send at most {MAX_LINES} lines.")
    return content.split(b"\n")


def understood_lines(
    request: Request, lines: Sequence[bytes], *, dry_run: bool
) -> Iterator[Understood | Problem]:
    """What each line asks for, as it is wanted."""
    for line in lines:
        try:
            yield _understood(request, line, dry_run=dry_run)
        except Problem as problem:
            yield problem


async def command_of(request: Request, line: Understood | Problem, *, dry_run: bool) -> Line:
    if isinstance(line, Problem):
        return line
    own = {"id": line.id, "actor": actor_of(request), "dry_run": dry_run}
    try:
        return await payment_command(line.asked, parts_of(request), **own)
    except StoreUnavailable:
        return Problem(UNANSWERED[StoreUnavailable])


def _understood(request: Request, line: bytes, *, dry_run: bool) -> Understood:
    """The same request as POST /v1/payments with the line's other members. Raises Problem."""
    if len(line) > MAX_BODY_BYTES:
        raise too_large(MAX_BODY_BYTES)
    plain = plain_payment(line)
    if plain is None:
        members = parsed(line)
        key: Any = members.pop("idempotency_key", None)
        asked = asked_payment(members)
    else:
        asked, key = plain
    id = uuid4() if dry_run and key is None else command_id(request, _key(key))
    return Understood(asked, id)


def _key(sent: Any) -> str:
    if sent is None:
        raise Problem("idempotency_key_missing", "Give the line an idempotency_key.")
    key = unquoted(sent) if isinstance(sent, str) else None
    if key is None:
        detail = f"It must be {A_KEY}."
        raise invalid([body_error(("idempotency_key",), "wrong_format", detail)])
    return key


async def decided_in_turn(
    request: Request, lines: Iterator[Understood | Problem]
) -> AsyncIterator[bytes]:
    """Each line's answer, in order, as they come; AHEAD pieces of PIECE lines are with the writer.

    Where the outcome of one is unknown, those after it that are not with the writer yet are told
    the same: it must not decide them before their client has sent that one again. Nor does it
    decide any once the key is revoked, however late their client makes room for their answers.
    """
    writer = parts_of(request).writer
    at_a_time = min(PIECE, writer.batch_size)
    waiting: deque[tuple[Sequence[Line], asyncio.Future[Answer] | None]] = deque()
    undecided: Problem | None = None
    try:
        while True:
            while len(waiting) < AHEAD and (following := [*islice(lines, at_a_time)]):
                commands = [await command_of(request, line, dry_run=False) for line in following]
                undecided = undecided or await _no_longer_let_in(request)
                if undecided:
                    commands = [
                        undecided if isinstance(line, MakePayment) else line for line in commands
                    ]
                together = _together(request, commands, all_or_none=False)
                submitted = await _submitted(writer, together) if together.payments else None
                waiting.append((commands, submitted))
            if not waiting:
                return
            piece, answer = waiting[0]
            results = await _results(writer, piece, answer) if answer else []
            waiting.popleft()
            for result in results:
                if isinstance(result, StorageFull | StoreUnavailable):
                    undecided = Problem(UNANSWERED[type(result)])
            yield b"".join(told_line(request, *each) for each in _each(piece, results))
    finally:
        for _, answer in waiting:
            # Its client is gone: what the writer has not taken yet is left out.
            if answer and not answer.cancel() and not answer.cancelled():
                answer.exception()


async def _no_longer_let_in(request: Request) -> Problem | None:
    """What lines are told from here on, where their key is revoked or nobody can say."""
    try:
        return None if await still_let_in(request) else unauthenticated()
    except StoreUnavailable:
        return Problem(UNANSWERED[StoreUnavailable])


async def _submitted(writer: CommandWriter, command: Command) -> "asyncio.Future[Answer]":
    """A full queue is waited for."""
    while True:
        try:
            return asyncio.wrap_future(writer.submit(command))
        except Overloaded:
            await asyncio.sleep(_PAUSE_S)


async def _results(
    writer: CommandWriter, piece: Sequence[Line], answer: "asyncio.Future[Answer]"
) -> Sequence[Answer | Exception]:
    """Of its payments, in order."""
    payments = [line for line in piece if isinstance(line, MakePayment)]
    try:
        return (await answer).lines
    except (StorageFull, StoreUnavailable) as error:
        return [error] * len(payments)
    except Exception as defect:  # noqa: BLE001 (it is answered, not swallowed)
        if len(payments) == 1:
            return [defect]
        # One of them may have spoilt the append for all: each goes alone.
        _log.exception("a piece of a bulk failed, its lines go singly")
    return [await _result(await _submitted(writer, payment)) for payment in payments]


async def _result(answer: "asyncio.Future[Answer]") -> Answer | Exception:
    try:
        return await answer
    except Exception as refusal_or_defect:  # noqa: BLE001 (it is answered, not swallowed)
        return refusal_or_defect


def _together(
    request: Request, lines: Sequence[Line], *, all_or_none: bool, dry_run: bool = False
) -> PayTogether:
    return PayTogether(
        id=uuid4(),
        fingerprint=b"",
        actor=actor_of(request),
        dry_run=dry_run,
        payments=[line for line in lines if isinstance(line, MakePayment)],
        all_or_none=all_or_none,
    )


async def decided_together(
    request: Request, lines: Sequence[Line], *, all_or_none: bool, dry_run: bool
) -> Sequence[Answer | Exception | None]:
    """What comes of each line, decided as one: None of one that can't be understood.

    Raises Problem: bulk_refused, and what a single command may be answered.
    """
    together = _together(request, lines, all_or_none=all_or_none, dry_run=dry_run)
    try:
        submitted = parts_of(request).writer.submit(together)
        answer = await asyncio.shield(asyncio.wrap_future(submitted))
    except BulkRefused as bulk:
        raise bulk_refused(request, bulk.members["line"], refused(bulk.refusal)) from None
    except (Overloaded, StorageFull, StoreUnavailable) as error:
        raise Problem(UNANSWERED[type(error)]) from None
    return [result for _, result in _each(lines, answer.lines)]


def _each(
    lines: Iterable[Line], results: Iterable[Answer | Exception]
) -> Iterator[tuple[Line, Answer | Exception | None]]:
    """Each line with what came of its payment."""
    following = iter(results)
    for line in lines:
        yield line, next(following) if isinstance(line, MakePayment) else None


def bulk_refused(request: Request, line: int, problem: Problem) -> Problem:
    parts_of(request).metrics.decided("pay_together", "bulk_refused", replayed=False)
    return Problem(
        "bulk_refused", line=line, problem=problem.document(request_id_of(request.scope))
    )


def told_line(request: Request, line: Line, result: Answer | Exception | None) -> bytes:
    """`status`, `replayed`, and the payment or problem, as a payment sent singly is answered."""
    try:
        if isinstance(line, Problem):
            raise line
        assert result is not None
        answer = accepted(line, result, parts_of(request).metrics)
        status = 200 if line.dry_run else 201
        return encoded({"status": status, "replayed": answer.replayed, **answer.body}) + b"\n"
    except Problem as problem:
        return _told_problem(request, problem)
    except Exception:  # noqa: BLE001 (it is logged and answered: a line's defect is its own)
        _log.exception("a line failed", extra={"request_id": request_id_of(request.scope)})
        return _told_problem(request, Problem("internal"))


def _told_problem(request: Request, problem: Problem) -> bytes:
    told = {
        "status": problem.status,
        "replayed": REPLAYED.items() <= problem.headers.items(),
        **problem.document(request_id_of(request.scope)),
    }
    return json.dumps(told, separators=(",", ":")).encode("ascii") + b"\n"
