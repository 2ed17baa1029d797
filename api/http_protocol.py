"""HTTP as we take it: uvicorn's protocol, with bounds on what a client has it wait for or keep.

What differs from uvicorn's: a head that doesn't end, a client that doesn't go on, and more
connections than there is room for, are shut out; an offer to upgrade is passed over, as RFC 9110
(7.8) has it, instead of being read as a message without a body; trailers are no headers; and what
is no HTTP is answered with a problem document, never in the place of another request's answer.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from collections.abc import Sized
from typing import Any, Final

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from api.problems import Problem
from api.request_ids import request_id

MAX_HEAD: Final = 64 * 1024
"""Bytes that may come before a head, a chunk's or the trailers end."""
IDLE_S: Final = 75
"""Of a connection without a request: longer than a proxy in front keeps its own, so that it is the
one to close them."""
GOES_ON_S: Final = 30
"""In which a head has to come whole, and each further piece of a body."""
READS_WITHIN_S: Final = 120
"""In which a client has to make room for more of an answer, or the last of it."""
MAX_AHEAD: Final = 1_000
"""Requests that a client may send before it has the answer to the first of them."""
MAX_CONNECTIONS: Final = 50_000
_OTHER_FILES: Final = 100
"""Kept for what is no client's connection."""
_WARNS_EVERY_S: Final = 60.0

_log = logging.getLogger(__name__)


class Room:
    """For connections: as many as this process may have open files, less those it needs itself."""

    def __init__(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = MAX_CONNECTIONS + _OTHER_FILES
        most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        if soft != resource.RLIM_INFINITY and soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
        self.connections = max(1, min(MAX_CONNECTIONS, soft - _OTHER_FILES))
        self._warned_at = -_WARNS_EVERY_S

    def warn(self) -> None:
        """That there is none; now and then."""
        if time.monotonic() - self._warned_at >= _WARNS_EVERY_S:
            self._warned_at = time.monotonic()
            _log.warning("%d connections are open: others are shut out", self.connections)


class _Flow(FlowControl):
    """Reads no more while many requests wait for those before them: uvicorn's goes on with each
    answer, by as many requests as a read brings. While few do, it is by reading that a client's
    leaving is noticed."""

    def __init__(self, transport: asyncio.Transport, pipeline: Sized) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        if len(self._pipeline) < MAX_AHEAD // 10:
            super().resume_reading()


class HttpProtocol(HttpToolsProtocol):
    """The app's state has the process's `room`. What comes whole goes to `begin`, `more` and
    `complete`."""

    app: Any
    cycle: Any
    """The last request; those before it that are not answered yet are `running` and in the
    pipeline."""
    running: Any = None
    """The request whose answer is the next one."""
    _loop: asyncio.AbstractEventLoop
    _due: float | None
    """By the loop's clock: until then the client has to go on; None while it is our turn."""
    _unread_since: float | None = None
    """Since when the client leaves unread what we have for it, or the end of the line."""
    _in_head: bool = True
    _in_body: bool = False
    _pending: int = 0
    """Bytes that made nothing whole yet."""
    _over: bool = False
    """No more is read: after the answers that are due the line is closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self.flow = _Flow(self.transport, self.pipeline)
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + IDLE_S
        room: Room = self.app.state.room
        if len(self.connections) > room.connections:
            room.warn()
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)  # which tells the last request alone
        if self.running and not self.running.response_complete:
            self.running.disconnected = True
            self.running.message_event.set()

    def pause_writing(self) -> None:
        self._unread_since = self._loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._unread_since = None
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        self._unset_keepalive_if_required()
        if self._due is None:
            self._due = self._loop.time() + GOES_ON_S
        self._pending += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self.send_400_response("This can't be read as HTTP; nothing was done.")
        else:
            if self._pending > max(MAX_HEAD, len(data)):
                self.send_400_response(f"Send at most {MAX_HEAD} bytes of headers.")

    def _feed(self, data: bytes) -> None:
        """After an offer to upgrade the parser takes what follows for another protocol: it is the
        body. So it begins anew there, with the head as if there had been none."""
        rest = memoryview(data)
        while True:
            try:
                self.parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
                head = self._head_without_upgrade()
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
            self.parser.feed_data(head)

    def _head_without_upgrade(self) -> bytes:
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise httptools.HttpParserError("we are no proxy")
        version = self.parser.get_http_version().encode()
        head = [b"%b %b HTTP/%b" % (method, self.url, version)]
        for name, value in self.headers:
            if name == b"connection":
                tokens = (token.strip() for token in value.split(b","))
                head += [b"%b: %b" % (name, one) for one in tokens if one.lower() != b"upgrade"]
            elif name != b"upgrade":
                head.append(b"%b: %b" % (name, value))
        return b"\r\n".join(head) + b"\r\n\r\n"

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MAX_AHEAD:
            raise ValueError("too far ahead")  # as what can't be read
        self._in_head, self._pending = True, 0
        self._due = self._loop.time() + GOES_ON_S
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # it comes again
        self._in_head, self._in_body, self._pending = False, True, 0
        self._due = self._loop.time() + GOES_ON_S
        self.begin()

    def on_body(self, body: bytes) -> None:
        self._pending = 0
        self._due = self._loop.time() + GOES_ON_S
        self.more(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._in_body, self._pending, self._due = False, 0, None
        self.complete()

    def begin(self) -> None:
        """A request whose head is whole."""
        super().on_headers_complete()

    def more(self, body: bytes) -> None:
        """Of its body."""
        super().on_body(body)

    def complete(self) -> None:
        """All of it is there."""
        super().on_message_complete()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self.running = cycle
        super()._start_asgi_task(cycle, app)

    def send_400_response(self, msg: str) -> None:
        """A problem document. Where requests are under way they are answered instead, and the line
        is closed: their client would take this for the answer to a command that is decided."""
        self._over = True
        if self._lacks_body() and self.pipeline:
            self.pipeline.popleft()
            self.cycle = self.pipeline[0][0] if self.pipeline else self.running
        if self.cycle and not self.cycle.response_complete and not self._lacks_body():
            self.cycle.keep_alive = False
        elif self.cycle and self.cycle.response_complete and self._in_body:
            self.transport.close()  # of a request that has its answer
        else:
            made = request_id(None)
            response = Problem("invalid_request", msg).response(made)
            headers = {**dict(response.raw_headers), b"x-request-id": made.encode()}
            self.write(response.status_code, headers, bytes(response.body), keep_alive=False)

    def _lacks_body(self) -> bool:
        """Whether the last request is one that has yet to come whole, and to be answered."""
        return bool(self.cycle and self.cycle.more_body and not self.cycle.response_started)

    def write(
        self, status: int, headers: dict[bytes, bytes], body: bytes, *, keep_alive: bool
    ) -> None:
        """A whole answer."""
        if not keep_alive:
            headers[b"connection"] = b"close"
        lines = [STATUS_LINE[status]]
        for name, value in (*self.server_state.default_headers, *headers.items()):
            lines += (name, b": ", value, b"\r\n")
        lines += (b"\r\n", body)
        if not self.transport.is_closing():
            self.transport.write(b"".join(lines))
            if not keep_alive:
                self.transport.close()

    def close_if_overdue(self, now: float) -> None:
        """Of a client that doesn't go on, where it is its turn and not ours."""
        if self._unread_since is None and self.transport.is_closing():
            self._unread_since = now
        if self._unread_since is not None and now - self._unread_since > READS_WITHIN_S:
            self.transport.abort()
            return
        overdue = self._due is not None and now > self._due and not self.flow.read_paused
        ours = self.cycle and not self.cycle.response_complete and not self._lacks_body()
        if overdue and not ours:
            self.transport.close()
