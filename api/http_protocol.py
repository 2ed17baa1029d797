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
from typing import Any, Final

import httptools
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


class HttpProtocol(HttpToolsProtocol):
    """The app's state has the process's `room`. What comes whole goes to `begin`, `more` and
    `complete`."""

    app: Any
    cycle: Any
    _loop: asyncio.AbstractEventLoop
    _due: float | None
    """By the loop's clock: until then the client has to go on; None while it is our turn."""
    _in_head: bool = True
    _pending: int = 0
    """Bytes that made nothing whole yet."""
    _over: bool = False
    """No more is read: after the answers that are due the line is closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time() + IDLE_S
        room: Room = self.app.state.room
        if len(self.connections) > room.connections:
            room.warn()
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        self._unset_keepalive_if_required()
        if self._due is None:
            self._due = self._loop.time() + GOES_ON_S
        self._pending += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._begin_anew_without_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("This can't be read as HTTP; nothing was done.")
        else:
            if self._pending > max(MAX_HEAD, len(data)):
                self.send_400_response(f"Send at most {MAX_HEAD} bytes of headers.")

    def _begin_anew_without_upgrade(self, rest: bytes) -> None:
        """The parser takes what follows the offer for another protocol: it is the body."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            self.send_400_response("This is no proxy.")
            return
        version = self.parser.get_http_version().encode()
        head = [b"%b %b HTTP/%b" % (method, self.url, version)]
        for name, value in self.headers:
            if name == b"connection":
                tokens = (token.strip() for token in value.split(b","))
                head += [b"%b: %b" % (name, one) for one in tokens if one.lower() != b"upgrade"]
            elif name != b"upgrade":
                head.append(b"%b: %b" % (name, value))
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        self.data_received(b"\r\n".join(head) + b"\r\n\r\n" + rest)

    def on_message_begin(self) -> None:
        self._in_head, self._pending = True, 0
        self._due = self._loop.time() + GOES_ON_S
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade():
            return  # it comes again
        self._in_head, self._pending = False, 0
        self._due = self._loop.time() + GOES_ON_S
        self.begin()

    def on_body(self, body: bytes) -> None:
        self._pending = 0
        self._due = self._loop.time() + GOES_ON_S
        self.more(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._pending, self._due = 0, None
        self.complete()

    def begin(self) -> None:
        """A request whose head is whole."""
        super().on_headers_complete()

    def more(self, body: bytes) -> None:
        """Of its body."""
        super().on_body(body)

    def complete(self) -> None:
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """A problem document. Where requests are under way they are answered instead, and the line
        is closed: their client would take this for the answer to a command that is decided."""
        self._over = True
        cycle = self.cycle
        if cycle is None or cycle.response_complete or self._lacks_body():
            if self.pipeline:
                self.transport.close()
                return
            made = request_id(None)
            response = Problem("invalid_request", msg).response(made)
            headers = {**dict(response.raw_headers), b"x-request-id": made.encode()}
            self.write(response.status_code, headers, bytes(response.body), keep_alive=False)
        else:
            cycle.keep_alive = False

    def _lacks_body(self) -> bool:
        """Whether the last request is one that has yet to come whole, and to be answered."""
        return bool(self.cycle.more_body and not self.cycle.response_started)

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
        if self._due is None or now < self._due or self.flow.read_paused:
            return
        cycle = self.cycle
        if cycle is None or cycle.response_complete or self._lacks_body():
            self.transport.close()
