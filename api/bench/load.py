"""A load that takes little of the machine it measures: HTTP/1.1 on bare sockets, no task a request.

`python -m api.bench.load` reads a Job from its standard input and does it.
"""

from __future__ import annotations

import asyncio
import gc
import re
import sys
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import Final, cast
from urllib.parse import urlsplit

import msgspec
import uvloop

from api.bench.jobs import BEGUN, ENDED, Crew, Done, Job
from api.bench.requests import Requests, Script

_TICK_S: Final = 0.001
_LAST_ANSWERS_S: Final = 60.0
_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length: "
_LAST_CHUNK: Final = b"0\r\n\r\n"
_GOOD_LINE: Final = b'{"status":201'
_LINE: Final = re.compile(rb'^\{"status":(\d{3})', re.MULTILINE)


class _Connection(asyncio.Protocol):
    """One request at a time, kept alive; `free` is called with us whenever we wait for nothing."""

    def __init__(self, script: Script, tally: _Tally, free: Callable[[_Connection], None]) -> None:
        self._script = script
        self._tally = tally
        self._free = free
        self._since = 0.0
        self._answer = b""
        self._begun = bytearray()
        """Of an answer that isn't all there."""
        self._transport: asyncio.WriteTransport
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def send(self, since: float) -> None:
        """The next request; `since` is from when on its client waits."""
        self._since = since
        try:
            # A generator that hasn't begun takes None alone.
            request = self._script.send(self._answer) if self._answer else next(self._script)
        except StopIteration:
            self.close()
        else:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._tally.part(data)
        if self._begun or not _whole(data):
            self._begun += data
            if not _whole(self._begun):
                return
            data = bytes(self._begun)
            self._begun.clear()
        self._answer = data
        self._tally.add(data, self._since)
        self._free(self)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(error or ConnectionResetError("the product hung up"))

    def close(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
            self._transport.close()


def _whole(answer: bytes | bytearray) -> bool:
    head = answer.find(_HEAD_END)
    if head < 0:
        return False
    length = answer.find(_LENGTH, 0, head)
    if length < 0:
        return answer.endswith(_LAST_CHUNK)
    end = answer.index(b"\r", length)
    return len(answer) >= head + 4 + int(answer[length + len(_LENGTH) : end])


class _Tally:
    """Counts and times the answers of one crew."""

    def __init__(self, *, by_the_line: bool) -> None:
        self._by_the_line = by_the_line
        self._answers: Counter[bytes] = Counter()
        self._waits: list[float] = []
        self._measured: list[float] = []
        self._good = self._good_before = 0
        self._began = self._rate = 0.0

    def add(self, answer: bytes, since: float) -> None:
        self._waits.append(perf_counter() - since)
        if self._by_the_line and answer.startswith(b"HTTP/1.1 200"):
            self._answers.update(_LINE.findall(answer))
            return
        self._answers[answer[9:12]] += 1
        self._good += answer[9:10] == b"2"

    def part(self, data: bytes) -> None:
        """Of a bulk's answer: lines count when they come, not when they are all there."""
        if self._by_the_line:
            self._good += data.count(_GOOD_LINE)

    def begin(self) -> None:
        self._waits.clear()
        self._good_before = self._good
        self._began = perf_counter()

    def end(self) -> None:
        self._rate = (self._good - self._good_before) / (perf_counter() - self._began)
        self._measured, self._waits = sorted(self._waits), []

    def done(self, does: str) -> Done:
        return Done(
            does=does,
            answers={status.decode(): times for status, times in self._answers.items()},
            rate=self._rate,
            requests=len(self._measured),
            p50_ms=self._percentile_ms(0.5),
            p99_ms=self._percentile_ms(0.99),
            p999_ms=self._percentile_ms(0.999),
            longest_ms=self._percentile_ms(1),
        )

    def _percentile_ms(self, share: float) -> float | None:
        waits = self._measured
        return 1000 * waits[min(int(share * len(waits)), len(waits) - 1)] if waits else None


class _Crew:
    """Closed loop: a connection that is free sends its next request."""

    def __init__(self, crew: Crew, requests: Requests) -> None:
        self._crew = crew
        self._scripts = requests.scripts()
        self._over = False
        self.tally = _Tally(by_the_line=crew.does == "bulk")
        self._connections: list[_Connection] = []

    async def connect(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        for script in self._scripts:
            connection = _Connection(script, self.tally, self._free)
            await loop.create_connection(partial(_itself, connection), host, port)
            self._connections.append(connection)

    def start(self) -> None:
        for connection in self._connections:
            self._free(connection)

    def stop(self) -> None:
        """What is under way is still answered."""
        self._over = True

    async def ended(self) -> None:
        await asyncio.gather(*(connection.ended for connection in self._connections))

    def close(self) -> None:
        for connection in self._connections:
            connection.close()

    def done(self) -> Done:
        return self.tally.done(self._crew.does)

    def _free(self, connection: _Connection) -> None:
        if self._over:
            connection.close()
        else:
            connection.send(perf_counter())


def _itself(connection: _Connection) -> _Connection:
    return connection


class _PacedCrew(_Crew):
    """Open loop: requests fall due at their times; one that finds no connection free waits, and
    its wait counts."""

    def __init__(self, crew: Crew, requests: Requests) -> None:
        super().__init__(crew, requests)
        assert crew.a_second
        self._every_s = 1 / crew.a_second
        self._idle: list[_Connection] = []
        self._due: deque[float] = deque()
        self._next_at = 0.0

    def start(self) -> None:
        super().start()
        self._next_at = perf_counter()
        self._tick()

    def _tick(self) -> None:
        if self._over:
            for connection in self._idle:
                connection.close()
            return
        now = perf_counter()
        while self._next_at <= now:
            self._due.append(self._next_at)
            self._next_at += self._every_s
        while self._due and self._idle:
            self._idle.pop().send(self._due.popleft())
        asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def _free(self, connection: _Connection) -> None:
        if self._over:
            connection.close()
        elif self._due:
            connection.send(self._due.popleft())
        else:
            self._idle.append(connection)


async def do(job: Job, tell: Callable[[bytes], None]) -> list[Done]:
    """One Done for each crew. Raises OSError where a connection breaks, TimeoutError where a
    request stays unanswered."""
    at = urlsplit(job.url)
    assert at.hostname
    assert at.port
    crews = [
        (_PacedCrew if crew.a_second else _Crew)(crew, Requests(job, number))
        for number, crew in enumerate(job.crews)
    ]
    try:
        for crew in crews:
            await crew.connect(at.hostname, at.port)
        for crew in crews:
            crew.start()
        ended = asyncio.gather(*(crew.ended() for crew in crews))
        await _unless_ended(ended, job.warm_s)
        for crew in crews:
            crew.tally.begin()
        tell(BEGUN)
        await _unless_ended(ended, job.seconds)
        for crew in crews:
            crew.tally.end()
            crew.stop()
        tell(ENDED)
        async with asyncio.timeout(_LAST_ANSWERS_S):
            await ended
    finally:
        for crew in crews:
            crew.close()
    return [crew.done() for crew in crews]


async def _unless_ended(ended: asyncio.Future[list[None]], wait_s: float) -> None:
    """Waits; a script that is at its end, or a connection that broke, ends the wait."""
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(ended), wait_s)


def _tell(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def main() -> None:
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    # Nothing of ours makes cycles, and a collection would be taken for a slow answer.
    gc.disable()
    _tell(msgspec.json.encode(uvloop.run(do(job, _tell))) + b"\n")


if __name__ == "__main__":
    main()
