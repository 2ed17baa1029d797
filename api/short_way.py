"""A short way for payments: from the bytes of a socket to the writer, and back by the batch.

FastAPI's, Starlette's and uvicorn's layers, their tasks and their futures are more than half of
what a payment costs this process (tests/benchmarks/test_ways.py). A plain request of a known caller
(api/plain_requests.py) passes them by; all else, every error among it, goes the long way through
the app, which says what is wrong. Tests send the same requests both ways.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from api.access import AccessLog
from api.answers import encoded
from api.auth import PAYS, Caller, bearer
from api.commands import REPLAYED, accepted
from api.http_protocol import HttpProtocol
from api.plain_requests import may_be_plain, plain_request
from api.problems import Problem
from api.request_ids import request_id
from api.requests import unquoted
from application.answers import Answer
from application.commands import Command
from application.writer import Overloaded
from domain.events import Actor
from domain.ids import command_stream

if TYPE_CHECKING:
    from api.parts import Parts

MAX_BODY: Final = 16 * 1024
"""Of a plain request; what is larger, or comes slowly, is uvicorn's to slow down."""

_ONCE: Final = frozenset(
    (b"authorization", b"content-length", b"content-type", b"idempotency-key", b"x-request-id")
)
_JSON: Final = (b"application/json", b"application/json; charset=utf-8")

_log = logging.getLogger(__name__)


class Inbox:
    """Brings answers from the writer's thread to the loop, which is woken once for all there are:
    a wake-up for each took as long as deciding it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._answered: deque[tuple[Taken, Answer | BaseException]] = deque()
        self._woken = False

    def put(self, taken: Taken, result: Answer | BaseException) -> None:
        """Called by any thread."""
        self._answered.append((taken, result))
        if not self._woken:
            self._woken = True
            with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._give)

    def _give(self) -> None:
        self._woken = False  # first: what is put from here on wakes again, or is given below
        while self._answered:
            taken, result = self._answered.popleft()
            taken.answer(result)


class ShortWay:
    """What a process's payments need on their way."""

    def __init__(self, parts: Parts, access: AccessLog) -> None:
        self.parts = parts
        self.access = access
        self.inbox = Inbox(asyncio.get_running_loop())


class Taken:
    """A request under way: to uvicorn what its cycles are, to the writer who waits."""

    message_event: Final = asyncio.Event()  # uvicorn sets it; nobody waits for it

    def __init__(self, protocol: PaymentProtocol, path: bytes, *, keep_alive: bool) -> None:
        self._protocol = protocol
        self._path = path
        self._began = time.perf_counter()
        self.keep_alive = keep_alive
        self.body = bytearray()
        self.more_body = True
        self.response_started = self.response_complete = False
        self.disconnected = False  # as uvicorn says it; whether the line is closed is asked of it
        self._short_way: ShortWay
        self._route: str
        self._status: int
        self._command: Command
        self._caller: Caller

    def decide(self, short_way: ShortWay, headers: list[tuple[bytes, bytes]]) -> bool:
        """Whether the request was one for the short way; the writer has it then."""
        sent = _sent_once(headers)
        if sent is None or sent.get(b"content-type") not in _JSON:
            return False
        if sent.get(b"content-length") != b"%d" % len(self.body):
            return False
        parts = short_way.parts
        token = bearer(sent.get(b"authorization", b"").decode("latin-1"))
        caller = parts.keys.known(token) if token else None
        key = unquoted(sent.get(b"idempotency-key", b"").decode("latin-1"))
        if not caller or caller.role not in PAYS or not key:
            return False
        plain = plain_request(self._path, bytes(self.body), parts)
        if plain is None or not parts.rates.take(caller.name):
            return False
        self._request_id = request_id(sent.get(b"x-request-id", b"").decode("latin-1"))
        self._short_way, self._caller = short_way, caller
        self._route, self._status = plain.route, plain.status
        self._command = plain.command(
            id=command_stream(parts.ledger, caller.name, key),
            actor=Actor(caller.name, caller.key_id, self._request_id),
        )
        try:
            parts.writer.take(self._command, self)
        except Overloaded:
            return False
        return True

    # Waiter: called by the writer's thread.

    def set_running_or_notify_cancel(self) -> bool:
        return True  # a client that goes away doesn't call off what it sent

    def set_result(self, result: Answer, /) -> None:
        self._short_way.inbox.put(self, result)

    def set_exception(self, exception: BaseException | None, /) -> None:
        assert exception is not None
        self._short_way.inbox.put(self, exception)

    # Back on the loop.

    def answer(self, result: Answer | BaseException) -> None:
        status, headers, body = self._told(result)
        headers[b"x-request-id"] = self._request_id.encode()
        self._protocol.write_answer(self, status, headers, body)
        self._short_way.access.tell(
            request_id=self._request_id,
            method="POST",
            route=self._route,
            status=status,
            took_s=time.perf_counter() - self._began,
            caller=self._caller,
        )

    def _told(self, result: Answer | BaseException) -> tuple[int, dict[bytes, bytes], bytes]:
        try:
            assert isinstance(result, Answer | Exception)
            answer = accepted(self._command, result, self._short_way.parts.metrics)
        except Exception as error:  # noqa: BLE001 (it is answered, not swallowed)
            if not isinstance(error, Problem):
                _log.exception("a request failed", extra={"request_id": self._request_id})
                error = Problem("internal")
            response = error.response(self._request_id)
            return response.status_code, dict(response.raw_headers), bytes(response.body)
        body = encoded(answer.body)
        headers = {b"content-length": b"%d" % len(body), b"content-type": b"application/json"}
        if answer.replayed:
            headers |= _raw(REPLAYED)
        return self._status, headers, body


class PaymentProtocol(HttpProtocol):
    """With the short way."""

    _taken: Taken | None = None

    def begin(self) -> None:
        self._taken = None
        idle = self.cycle is None or self.cycle.response_complete
        if (
            idle
            and not self.flow.write_paused  # who doesn't read waits, as uvicorn has it
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and not self.expect_100_continue
            and may_be_plain(self.url)
        ):
            keep_alive = self.parser.should_keep_alive()
            self._taken = Taken(self, self.url, keep_alive=keep_alive)
            self.cycle = self.running = self._taken
        else:
            super().begin()

    def more(self, body: bytes) -> None:
        if self._taken is None:
            super().more(body)
            return
        self._taken.body += body
        if len(self._taken.body) > MAX_BODY:
            self._go_the_long_way(self._taken)

    def complete(self) -> None:
        taken = self._taken
        if taken is not None:
            taken.more_body = False
            if self._decides(taken):
                return
            self._go_the_long_way(taken)
        super().complete()

    def _decides(self, taken: Taken) -> bool:
        try:
            return taken.decide(self.app.state.short_way, self.headers)
        except Exception:  # noqa: BLE001 (nothing has happened yet; the long way will say)
            _log.exception("a request could not take the short way")
            return False

    def _go_the_long_way(self, taken: Taken) -> None:
        """As if uvicorn had had it from its head on."""
        self._taken = self.cycle = None
        super().begin()
        super().more(bytes(taken.body))

    def write_answer(
        self, taken: Taken, status: int, headers: dict[bytes, bytes], body: bytes
    ) -> None:
        """And has the next request begin, if one was sent before this answer."""
        taken.response_started = taken.response_complete = True
        self.write(status, headers, body, keep_alive=taken.keep_alive)
        self.on_response_complete()


def _sent_once(headers: list[tuple[bytes, bytes]]) -> dict[bytes, bytes] | None:
    """Those that matter here; None where one was sent twice, or the body comes in chunks."""
    sent: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _ONCE:
            if name in sent:
                return None
            sent[name] = value
    return sent


def _raw(headers: Mapping[str, str]) -> dict[bytes, bytes]:
    return {name.lower().encode(): value.encode() for name, value in headers.items()}
