"""Sends the rows of a file, many at a time, and counts what became of them."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from api.cli.client import Client, Reply
from api.cli.importing.rows import Account, Payment, Row, content_hash
from api.cli.importing.schedule import Schedule, Ticket
from api.cli.output import CannotRun

_WINDOW_PER_CONNECTION: Final = 16
"""How far the file is read ahead, so that a busy account does not hold up the others."""
_SHOWN: Final = 10
_NOT_ALLOWED: Final = (401, 403)


@dataclass(slots=True)
class Outcome:
    """What became of the rows so far."""

    rows: int = 0
    settled: int = 0
    """Payments that this import made."""
    refused: Counter[str] = field(default_factory=Counter)
    replayed: int = 0
    """Rows that an earlier import had decided: they count neither as settled nor as refused."""
    undecided: int = 0
    """Rows the product would not decide, such as one whose id was used for another payment."""
    shown: list[str] = field(default_factory=list)
    """The first of the undecided, each with its line."""


class _Request(NamedTuple):
    path: str
    key: str
    body: bytes
    as_admin: bool
    line: int
    counted: bool
    """Whether it is what its row is about."""


class Sender:
    """Rows that share an account are sent in order, each when the one before is decided.

    An account without limits can't refuse, so the order of its payments decides nothing: they
    wait for its opening only, or every row would wait for the clearing account of the last.
    """

    def __init__(self, client: Client) -> None:
        self.outcome = Outcome()
        self._client = client
        self._queue: asyncio.Queue[Ticket[_Request] | None] = asyncio.Queue()
        self._schedule: Schedule[_Request] = Schedule(self._queue.put_nowait)
        self._opened: set[str] = set()
        self._unlimited: set[str] = set()

    async def send(self, rows: Iterable[Row], connections: int) -> None:
        """Sends them all. Raises Malformed, or CannotRun where the product does not decide."""
        room = asyncio.Semaphore(connections * _WINDOW_PER_CONNECTION)
        senders = [asyncio.create_task(self._send_ready(room)) for _ in range(connections)]
        feeder = asyncio.create_task(self._feed(rows, room, connections))
        try:
            await asyncio.gather(feeder, *senders)
        finally:
            for task in (feeder, *senders):
                task.cancel()
            await asyncio.gather(feeder, *senders, return_exceptions=True)

    async def _feed(self, rows: Iterable[Row], room: asyncio.Semaphore, connections: int) -> None:
        for row in rows:
            for step in row.steps:
                counted = step is row.steps[-1]
                if isinstance(step, Payment):
                    await room.acquire()
                    self._add_payment(step, row.line, counted)
                elif (request := _opening(step, row.line, counted)).key not in self._opened:
                    await room.acquire()
                    self._opened.add(request.key)
                    self._schedule.add(request, lanes=(step.id,))
                    if step.unlimited:
                        self._unlimited.add(step.id)
                elif counted:
                    self.outcome.rows += 1
        for _ in range(connections * _WINDOW_PER_CONNECTION):
            await room.acquire()
        for _ in range(connections):
            self._queue.put_nowait(None)

    def _add_payment(self, payment: Payment, line: int, counted: bool) -> None:
        accounts = {payment.debit, payment.credit}
        free = accounts & self._unlimited
        request = _Request(
            "/v1/payments", payment.key, _payment_body(payment), False, line, counted
        )
        self._schedule.add(request, lanes=accounts - free, after=free)

    async def _send_ready(self, room: asyncio.Semaphore) -> None:
        while (ticket := await self._queue.get()) is not None:
            request = ticket.work
            reply = await self._client.send(
                request.path, request.key, request.body, as_admin=request.as_admin
            )
            self._count(request, reply)
            self._schedule.done(ticket)
            room.release()

    def _count(self, request: _Request, reply: Reply) -> None:
        if reply.status in _NOT_ALLOWED:
            raise CannotRun(f"the product answers {reply.status} {reply.code}: check the key")
        outcome = self.outcome
        pays = request.path == "/v1/payments"
        decided = (
            reply.ok
            or (pays and reply.status == 422 and reply.code != "idempotency_key_reused")
            or (not pays and reply.code == "account_exists")
        )
        if not decided:
            outcome.undecided += 1
            if len(outcome.shown) < _SHOWN:
                outcome.shown.append(f"line {request.line}: {reply.code}")
        if not request.counted:
            return
        outcome.rows += 1
        if decided and reply.known:
            outcome.replayed += 1
        elif not decided or (pays and not reply.ok):
            outcome.refused[reply.code or ""] += 1
        elif pays:
            outcome.settled += 1


def _opening(account: Account, line: int, counted: bool) -> _Request:
    body = _encoded(
        id=account.id,
        currency=account.currency,
        normal_side=account.normal_side,
        overdraft_limit=account.overdraft_limit,
        max_balance=account.max_balance,
        metadata=account.metadata,
    )
    key = f"import-account-{content_hash(body.decode())}"
    # A client may open accounts without an overdraft only.
    as_admin = account.overdraft_limit != 0
    return _Request("/v1/accounts", key, body, as_admin, line, counted)


def _payment_body(payment: Payment) -> bytes:
    members: dict[str, Any] = {
        "carrier": payment.carrier,
        "reference": payment.reference,
        "value_date": payment.value_date,
        "metadata": payment.metadata or None,
    }
    posting = {
        "debit": payment.debit,
        "credit": payment.credit,
        "amount": payment.amount_minor,
        "currency": payment.currency,
    }
    sent = {name: value for name, value in members.items() if value is not None}
    return _encoded(postings=[posting], **sent)


def _encoded(**members: Any) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode()
