"""Sends the rows of a file in their order, and counts what became of them."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from api.cli.client import Client, Reply
from api.cli.importing.rows import Account, Payment, Row, content_hash
from api.cli.output import CannotRun

_PAYMENTS: Final = "/v1/payments/bulk"
_LINES: Final = 1_000
"""Payments of one body at most."""
_BYTES: Final = 4 * 1024 * 1024
"""Of one body, about: half of what the product takes."""
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


class _Opening(NamedTuple):
    account: str
    key: str
    body: bytes
    as_admin: bool
    line: int
    counted: bool
    """Whether it is what its row is about."""


class _Line(NamedTuple):
    body: bytes
    line: int
    counted: bool


class Sender:
    """Payments go by the line, in the order of the file; accounts are opened before them, many at
    a time, while the payments before are under way."""

    def __init__(self, client: Client) -> None:
        self.outcome = Outcome()
        self._client = client
        self._opened: set[str] = set()
        self._openings: list[_Opening] = []
        self._payments: list[_Line] = []
        self._bytes = 0
        self._named: set[str] = set()
        """The accounts of `_payments`."""
        self._under_way: asyncio.Task[None] | None = None
        self._named_under_way: set[str] = set()

    async def send(self, rows: Iterable[Row], connections: int) -> None:
        """Sends them all. Raises Malformed, or CannotRun where the product does not decide."""
        try:
            for row in rows:
                for step in row.steps:
                    await self._add(step, row.line, step is row.steps[-1], connections)
            await self._flush(connections)
            await self._arrived()
        finally:
            if self._under_way:
                self._under_way.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await self._under_way

    async def _add(
        self, step: Account | Payment, line: int, counted: bool, connections: int
    ) -> None:
        if isinstance(step, Payment):
            body = _payment_line(step)
            self._payments.append(_Line(body, line, counted))
            self._bytes += len(body)
            self._named |= {step.debit, step.credit}
            if len(self._payments) == _LINES or self._bytes > _BYTES:
                await self._flush(connections)
        elif (opening := _opening(step, line, counted)).key not in self._opened:
            if step.id in self._named:
                await self._flush(connections)  # a payment before it finds no such account
            self._opened.add(opening.key)
            self._openings.append(opening)
        elif counted:
            self.outcome.rows += 1

    async def _flush(self, connections: int) -> None:
        """Opens the accounts at hand, then sets the payments on their way."""
        openings, payments, named = self._openings, self._payments, self._named
        self._openings, self._payments, self._named, self._bytes = [], [], set(), 0
        if any(opening.account in self._named_under_way for opening in openings):
            await self._arrived()
        await self._open(openings, connections)
        await self._arrived()
        if payments:
            self._named_under_way = named
            self._under_way = asyncio.create_task(self._pay(payments))

    async def _arrived(self) -> None:
        """Waits for the payments that are under way."""
        if self._under_way:
            await self._under_way
        self._under_way = None
        self._named_under_way = set()

    async def _open(self, openings: Iterable[_Opening], connections: int) -> None:
        waiting = iter(openings)

        async def some() -> None:
            for opening in waiting:
                reply = await self._client.send(
                    "/v1/accounts", opening.key, opening.body, as_admin=opening.as_admin
                )
                if reply.status in _NOT_ALLOWED:
                    raise CannotRun(
                        f"the product answers {reply.status} {reply.code}: check the key"
                    )
                decided = reply.ok or reply.code == "account_exists"
                self._count(opening, reply, decided=decided, pays=False)

        tasks = [asyncio.create_task(some()) for _ in range(connections)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pay(self, payments: list[_Line]) -> None:
        lines = iter(payments)
        async for reply in self._client.send_lines(_PAYMENTS, [each.body for each in payments]):
            decided = reply.ok or (reply.status == 422 and reply.code != "idempotency_key_reused")
            self._count(next(lines), reply, decided=decided, pays=True)

    def _count(self, sent: _Opening | _Line, reply: Reply, *, decided: bool, pays: bool) -> None:
        outcome = self.outcome
        if not decided:
            outcome.undecided += 1
            if len(outcome.shown) < _SHOWN:
                outcome.shown.append(f"line {sent.line}: {reply.code}")
        if not sent.counted:
            return
        outcome.rows += 1
        if decided and reply.known:
            outcome.replayed += 1
        elif not decided or (pays and not reply.ok):
            outcome.refused[reply.code or ""] += 1
        elif pays:
            outcome.settled += 1


def _opening(account: Account, line: int, counted: bool) -> _Opening:
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
    return _Opening(account.id, key, body, as_admin, line, counted)


def _payment_line(payment: Payment) -> bytes:
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
    return _encoded(idempotency_key=payment.key, postings=[posting], **sent)


def _encoded(**members: Any) -> bytes:
    return json.dumps(members, separators=(",", ":")).encode()
