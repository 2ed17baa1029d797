"""Between an API process and the writer's: a Unix socket, and many commands or answers at a time.

Each message is its length, four bytes, and what application/wire.py makes. The writer begins, with
no answers: a connection may wait for a process that is yet to start. Where the writer's
process ends, or stands still, an API process connects to the next one and sends again what is not
answered, in its order and in doubt: so a command is recorded once, and its client only waits.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from threading import Lock, Thread
from time import monotonic, sleep
from typing import Final, cast

from application.answers import Answer
from application.commands import Command
from application.ports import StoreUnavailable
from application.wire import (
    Answered,
    Sent,
    answers_in,
    answers_told,
    commands_in,
    commands_told,
    kind_and_content,
)
from application.writer import Overloaded, Waiter, Writer

CONNECT_S: Final = 0.05
"""From one attempt to the next, at either end."""
READS_WITHIN_S: Final = 2
"""An API process that doesn't read its answers for so long, while the writer waits to send more,
is cut off; it connects again, and asks again."""
LOOKS_EVERY_S: Final = 0.5
"""How often an API process looks whether the writer stands still."""

_AT_ONCE: Final = 1 << 18
_LENGTH: Final = struct.Struct("!I")

_log = logging.getLogger(__name__)


def _message(content: bytes) -> bytes:
    return _LENGTH.pack(len(content)) + content


class _Messages:
    """Cuts what comes in into messages."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def of(self, received: bytes) -> Iterator[bytes]:
        rest = self._rest
        rest += received
        while len(rest) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(rest)[0]
            if len(rest) < end:
                return
            message = bytes(rest[_LENGTH.size : end])
            del rest[:end]
            yield message


class _Asked:
    """A command that isn't answered yet."""

    __slots__ = ("in_doubt", "sent_at", "told", "waiter")

    def __init__(self, command: Command, waiter: Waiter) -> None:
        self.told = kind_and_content(command)
        self.waiter = waiter
        self.in_doubt = False
        """Whether an earlier writer had it."""
        self.sent_at = 0.0
        """By the loop's clock, to the writer that has it."""


class RemoteWriter:
    """An API process's end: a CommandWriter. All of it is of the event loop's thread."""

    def __init__(self, path: Path, *, queue_size: int, batch_size: int, timeout_s: float) -> None:
        """`path` is that of the socket; a writer is waited for, for `timeout_s`.

        One that doesn't answer for twice as long, in which it may have tried the batch before as
        well, stands still.
        """
        self._path = path
        self._queue_size = queue_size
        self.batch_size = batch_size
        self._timeout_s = timeout_s
        self._number = 0
        self._asked: dict[int, _Asked] = {}
        self._unsent: list[int] = []
        self._transport: asyncio.WriteTransport | None = None
        self._given_up = False
        self._stopped = False

    async def start(self) -> None:
        """Returns at once: commands wait until there is a writer."""
        self._loop = asyncio.get_running_loop()
        self._wait_for_writer()
        self._connecting = self._loop.create_task(self._connect())
        self._look()

    async def stop(self) -> None:
        """To be called when nothing is under way any more."""
        self._stopped = True
        self._connecting.cancel()
        self._giving_up.cancel()
        self._looking.cancel()
        with suppress(asyncio.CancelledError):
            await self._connecting
        if self._transport:
            self._transport.close()

    @property
    def alive(self) -> bool:
        return self._transport is not None

    @property
    def queued(self) -> int:
        return len(self._asked)

    def submit(self, command: Command) -> Future[Answer]:
        answer: Future[Answer] = Future()
        self.take(command, answer)
        return answer

    def take(self, command: Command, answer: Waiter) -> None:
        if len(self._asked) >= self._queue_size:
            raise Overloaded
        asked = _Asked(command, answer)
        self._number += 1
        self._asked[self._number] = asked
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent.append(self._number)

    # Of its connection.

    def connected(self, transport: asyncio.WriteTransport) -> None:
        self._giving_up.cancel()
        self._given_up = False
        self._transport = transport
        self._send()

    def received(self, message: bytes) -> None:
        for number, result in answers_in(message):
            waiter = self._asked.pop(number).waiter
            if isinstance(result, Exception):
                waiter.set_exception(result)
            else:
                waiter.set_result(result)

    def disconnected(self) -> None:
        """What the writer had is in doubt, and is the first to be sent to the next one."""
        if self._stopped:
            return
        if self._transport:
            self._transport = None
            for number in self._asked.keys() - self._unsent:
                self._asked[number].in_doubt = True
            self._unsent = list(self._asked)
            self._wait_for_writer()
        self._connecting = self._loop.create_task(self._connect())

    def _wait_for_writer(self) -> None:
        self._giving_up = self._loop.call_later(self._timeout_s, self._give_up)

    async def _connect(self) -> None:
        while True:
            await asyncio.sleep(CONNECT_S)
            with suppress(OSError):
                await self._loop.create_unix_connection(lambda: _ToWriter(self), str(self._path))
                return

    def _send(self) -> None:
        """All that has come in one turn of the loop."""
        if self._given_up:
            self._give_up()
        if self._transport is None:
            return
        sent, now = [], self._loop.time()
        for number in self._unsent:
            asked = self._asked[number]
            asked.sent_at = now
            if asked.in_doubt or asked.waiter.set_running_or_notify_cancel():
                sent.append(Sent(number, asked.in_doubt, *asked.told))
            else:
                del self._asked[number]
        self._unsent.clear()
        if sent:
            self._transport.write(_message(commands_told(sent)))

    def _look(self) -> None:
        """Ends the connection to a writer that stands still: by itself it would stay."""
        self._looking = self._loop.call_later(LOOKS_EVERY_S, self._look)
        oldest = next(iter(self._asked.values()), None)
        if self._transport is None or oldest is None or not oldest.sent_at:
            return
        if self._loop.time() - oldest.sent_at > 2 * self._timeout_s:
            _log.warning("the writer stands still: its connection is ended")
            self._transport.abort()

    def _give_up(self) -> None:
        """No writer has come: nobody knows what became of what the last one had."""
        self._given_up = True
        self._unsent.clear()
        asked, self._asked = self._asked, {}
        for each in asked.values():
            if each.in_doubt or each.waiter.set_running_or_notify_cancel():
                each.waiter.set_exception(StoreUnavailable())


class _ToWriter(asyncio.Protocol):
    _transport: asyncio.WriteTransport

    def __init__(self, writer: RemoteWriter) -> None:
        self._writer = writer
        self._messages = _Messages()
        self._greeted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        for message in self._messages.of(data):
            if not self._greeted:
                self._greeted = True
                self._writer.connected(self._transport)
            self._writer.received(message)

    def connection_lost(self, exc: Exception | None) -> None:
        self._writer.disconnected()


class WriterServer:
    """The writer's end: a thread for each API process that is connected."""

    def __init__(self, listener: socket.socket) -> None:
        """`listener` is bound; it stays open, so that API processes find the next writer there."""
        self._listener = listener
        self._sessions: set[_Session] = set()
        self._accepting = Thread(target=self._accept, name="accept", daemon=True)

    def start(self, writer: Writer) -> None:
        self._writer = writer
        self._accepting.start()

    def tell(self) -> None:
        """Sends the answers there are; called by the writer's thread at the end of each batch."""
        for session in self._sessions.copy():
            session.tell()

    def drain(self, timeout_s: float) -> None:
        """Waits until no API process is connected, or the time is over."""
        deadline = monotonic() + timeout_s
        for session in self._sessions.copy():
            session.thread.join(max(deadline - monotonic(), 0))

    def _accept(self) -> None:
        while self._listener.fileno() >= 0:
            try:
                connection, _ = self._listener.accept()
            except OSError as error:  # no more files may be open, for now
                _log.error("an API process is not taken on: %s", error)
                sleep(CONNECT_S)
                continue
            session = _Session(connection, self._writer, ended=self._sessions.discard)
            self._sessions.add(session)
            session.thread.start()


class _Session:
    """One API process's connection."""

    def __init__(
        self, connection: socket.socket, writer: Writer, *, ended: Callable[[_Session], None]
    ) -> None:
        self._connection = connection
        connection.setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", READS_WITHIN_S, 0)
        )
        self._writer = writer
        self._ended = ended
        self._answers: deque[Answered] = deque()
        self._telling = Lock()
        self.thread = Thread(target=self._run, name="session", daemon=True)

    def answered(self, number: int, result: Answer | Exception) -> None:
        """Called by any thread; it is sent by `tell`."""
        self._answers.append(Answered(number, result))

    def tell(self) -> None:
        with self._telling:
            answers = [self._answers.popleft() for _ in range(len(self._answers))]
            if not answers:
                return
            try:
                self._connection.sendall(_message(answers_told(answers)))
            except OSError:
                _log.warning("an API process is gone, or reads no answers: it is cut off")
                with suppress(OSError):
                    self._connection.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        messages = _Messages()
        try:
            with self._connection, suppress(OSError):
                self._connection.sendall(_message(answers_told([])))
                while received := self._connection.recv(_AT_ONCE):
                    for message in messages.of(received):
                        for sent in commands_in(message):
                            self._take(sent)
        finally:
            self._ended(self)

    def _take(self, sent: Sent) -> None:
        reply = _Reply(self, sent.number)
        try:
            self._writer.take(sent.command, reply, in_doubt=sent.in_doubt)
        except Exception as error:  # noqa: BLE001 (it is answered, not swallowed)
            overloaded = isinstance(error, Overloaded)
            # Of one in doubt nobody may say that it was not decided.
            reply.set_exception(StoreUnavailable() if overloaded and sent.in_doubt else error)
            self.tell()


class _Reply:
    """A Waiter that sends the answer on."""

    __slots__ = ("_number", "_session")

    def __init__(self, session: _Session, number: int) -> None:
        self._session = session
        self._number = number

    def set_running_or_notify_cancel(self) -> bool:
        return True  # its API process asked before it sent the command

    def set_result(self, result: Answer, /) -> None:
        self._session.answered(self._number, result)

    def set_exception(self, exception: BaseException | None, /) -> None:
        assert isinstance(exception, Exception)
        self._session.answered(self._number, exception)
