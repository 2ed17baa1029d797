"""What one plain payment costs the API and the writer, layer by layer, in µs of a processor's time.

Each is the best of several rounds, so that what else the machine does counts little; figures, not
bounds.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
import uvicorn
import uvloop
from uvicorn.server import ServerState

from api.access import AccessLog
from api.answers import encoded
from api.auth import Caller, KeyRing
from api.metrics import Metrics
from api.payment_parser import PlainPayment, plain_payment
from api.short_way import PaymentProtocol, ShortWay
from application.answers import Answer
from application.commands import MakePayment
from application.wire import (
    Answered,
    Sent,
    answers_in,
    answers_told,
    commands_in,
    commands_told,
    kind_and_content,
)
from domain.events import Actor
from domain.ids import command_stream
from tests.fixtures.fix_ledger import a_ledger, commit, opened
from tests.fixtures.fix_postgres import Store

pytestmark = pytest.mark.slow
Figure = Callable[[str, object], None]

BATCH = 64
"""As many as 64 connections have under way at most."""
ACCOUNTS = 500
ROUNDS = 40


@pytest.fixture(autouse=True)
def _collected_as_in_the_product() -> Iterator[None]:
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


class Budget:
    """The least time that each layer took, of all rounds."""

    def __init__(self, figure: Figure) -> None:
        self._figure = figure
        self._least_s: dict[str, float] = {}

    @contextmanager
    def layer(self, name: str) -> Iterator[None]:
        began = time.thread_time()
        yield
        took_s = time.thread_time() - began
        self._least_s[name] = min(took_s, self._least_s.get(name, took_s))

    def tell(self) -> None:
        for name, least_s in self._least_s.items():
            self._figure(f"µs a payment, {name}", round(least_s / BATCH * 1e6, 1))


@pytest.fixture
def budget(figure: Figure) -> Budget:
    return Budget(figure)


def body(number: int) -> bytes:
    debit, credit = number % ACCOUNTS, (number * 7 + 1) % ACCOUNTS
    return (
        f'{{"postings":[{{"debit":"c:{debit}","credit":"c:{credit}",'
        '"amount":1,"currency":"EUR"}]}'
    ).encode()


def the_command(stream: UUID, plain: PlainPayment | None) -> MakePayment:
    assert plain is not None
    actor = Actor("shop", "key", "request")
    order, fingerprint, _ = plain.asked
    return MakePayment(id=stream, fingerprint=fingerprint, actor=actor, order=order)


def test_the_writers_part(fresh_store: Store, budget: Budget) -> None:
    """On a real store: what the thread waits for it is no time of its processor's."""
    numbers = [number for number in range(BATCH * 7) if number % 500 != (number * 7 + 1) % 500]
    with a_ledger(fresh_store, cache_accounts=ACCOUNTS) as ledger:
        names = (f"c:{number}" for number in range(ACCOUNTS))
        commit(ledger, *(opened(name, name, overdraft_limit=None) for name in names))
        for _ in range(ROUNDS):
            bodies = [body(number) for number in numbers[:BATCH]]
            with budget.layer("the body parsed and its fingerprint taken"):
                plain = [plain_payment(content) for content in bodies]
            run = uuid4().hex
            with budget.layer("the id of its stream"):
                streams = [command_stream("main", "shop", f"{run}{n}") for n in range(BATCH)]
            commands = [the_command(*each) for each in zip(streams, plain, strict=True)]
            with budget.layer("commands to bytes, for the writer's process, and back"):
                told = [kind_and_content(command) for command in commands]
                message = commands_told(Sent(n, False, *each) for n, each in enumerate(told))
                understood = [sent.command for sent in commands_in(message)]
            assert understood == commands
            with budget.layer("accounts found in the cache"):
                batch = ledger._begin(commands, (), presume=True)
            with budget.layer("decided"):
                batch.decide(commands)
            with budget.layer("events encoded"):
                for event in batch.events:
                    ledger.mapper.to_stored_event(event)
            with budget.layer("events encoded and appended, answers made"):
                answers = ledger.commit(batch)
            with budget.layer("answers to bytes, for the API's process, and back"):
                answers_in(answers_told([Answered(*each) for each in enumerate(answers)]))
            with budget.layer("answers encoded"):
                for answer in answers:
                    assert isinstance(answer, Answer)
                    encoded(answer.body)
    budget.tell()


def test_the_sockets_part(budget: Budget) -> None:
    """From a request's bytes to the writer, and from an answer to its bytes; without the system's
    part of sending them."""
    uvloop.run(wire(budget))
    budget.tell()


class Taken(list[Any]):
    """Stands for the writer: takes commands, and decides nothing."""

    def take(self, command: Any, waiter: Any) -> None:
        self.append(waiter)


class Line(asyncio.Transport):
    def write(self, data: Any) -> None:
        pass

    def is_closing(self) -> bool:
        return False


async def wire(budget: Budget) -> None:
    async def known(token: str) -> Caller:
        return Caller("shop", "client", "key")

    metrics, taken, keys = Metrics(), Taken(), KeyRing(known)
    parts: Any = SimpleNamespace(writer=taken, ledger="main", keys=keys, metrics=metrics)
    state = SimpleNamespace(short_way=ShortWay(parts, AccessLog(metrics)))
    config = uvicorn.Config(
        SimpleNamespace(state=state),  # type: ignore[arg-type]
        http=PaymentProtocol,
        interface="asgi3",
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
    )
    config.load()
    server = ServerState()
    server.default_headers = [(b"date", b"Wed, 25 Nov 2026 20:57:55 GMT")]
    protocols = [PaymentProtocol(config, server, app_state={}) for _ in range(BATCH)]
    for protocol in protocols:
        protocol.connection_made(Line())
    requests = [request(number) for number in range(BATCH)]
    answer = Answer({"id": "a payment"}, None, 7, replayed=False)
    for _ in range(ROUNDS):
        await keys.caller("tk_x")
        with budget.layer("HTTP read, caller known, body parsed, command made"):
            for protocol, sent in zip(protocols, requests, strict=True):
                protocol.data_received(sent)
        assert len(taken) == BATCH
        for waiter in taken:
            waiter.set_result(answer)
        taken.clear()
        with budget.layer("HTTP written, counted, a line of the log"):
            for _ in range(3):
                await asyncio.sleep(0)
        assert all(protocol.cycle.response_complete for protocol in protocols)


def request(number: int) -> bytes:
    content = body(number)
    head = (
        "POST /v1/payments HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer tk_x\r\n"
        f"Content-Type: application/json\r\nIdempotency-Key: k-{number}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content
