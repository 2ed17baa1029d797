"""The load against a server that answers as it is told to: in pieces, late, or not well."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from api.bench.jobs import BEGUN, ENDED, Crew, Done, Job
from api.bench.load import do

Answers = Callable[[bytes], Sequence[bytes]]
"""To a request: the answer, in the pieces in which it is sent."""


def told(status: str, body: bytes = b'{"id":"pay_1"}') -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status.encode(), len(body), body)


CREATED = told("201 Created")
HANG_UP = b"nothing, but the end of the connection"
SPREAD = Crew(does="spread", connections=2, at_most=20)


def load(
    answers: Answers, *crews: Crew, warm_s: float = 0, seconds: float = 30
) -> tuple[list[Done], list[bytes], list[bytes]]:
    """What was done, the requests that the server had, and the lines that were told."""
    requests: list[bytes] = []
    lines: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.partition(b"Content-Length: ")[2].partition(b"\r")[0]
                requests.append(head + await reader.readexactly(int(length or 0)))
                for piece in answers(requests[-1]):
                    if piece is HANG_UP:
                        return
                    writer.write(piece)
                    await asyncio.sleep(0.002)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async def run() -> list[Done]:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            job = Job(
                url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",
                key="tk_test",
                run="run",
                prefix="test:",
                accounts=10,
                crews=list(crews),
                warm_s=warm_s,
                seconds=seconds,
                lines=5,
                payments=["pay_1"],
            )
            return await do(job, lines.append)

    return asyncio.run(run()), requests, lines


def test_every_answer_is_counted_by_its_status_and_no_key_is_sent_twice() -> None:
    statuses = iter([CREATED] * 17 + [told("503 Service Unavailable")] * 3)
    (done,), requests, lines = load(lambda _: [next(statuses)], SPREAD)
    assert done.answers == {"201": 17, "503": 3}
    assert len({request.partition(b"Key: ")[2].partition(b"\r")[0] for request in requests}) == 20
    assert lines == [BEGUN, ENDED]


@pytest.mark.parametrize("at", range(1, len(CREATED), 7))
def test_an_answer_may_come_in_pieces(at: int) -> None:
    (done,), requests, _ = load(lambda _: [CREATED[:at], CREATED[at:]], SPREAD)
    assert done.answers == {"201": len(requests)} == {"201": 20}


@pytest.mark.parametrize("at", [1, 40, 80, 120, -8, -4, -3, -2, -1])
def test_lines_of_a_bulk_are_counted_wherever_its_answer_is_cut(at: int) -> None:
    line = b'{"status":201,"replayed":false,"id":"pay_1"}\n'
    problem = b'{"status":422,"code":"account_frozen","replayed":false,"status":422}\n'
    chunks = [line * 3, problem, line]
    answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    answer += b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    crew = Crew(does="bulk", connections=1, at_most=3)
    (done,), _, _ = load(lambda _: [answer[:at], answer[at:]], crew)
    assert done.answers == {"201": 12, "422": 3}


def test_a_hold_is_captured_by_its_id() -> None:
    crew = Crew(does="holds", connections=1, at_most=2)

    def answers(request: bytes) -> list[bytes]:
        captured = b"/v1/payments/pay_1/capture " in request
        return [told("200 OK") if captured else CREATED]

    (done,), requests, _ = load(answers, crew)
    assert done.answers == {"201": 2, "200": 2}
    assert [b'"mode":"hold"' in request for request in requests] == [True, False, True, False]


def test_each_account_is_paid_with_once() -> None:
    _, requests, _ = load(lambda _: [CREATED], Crew(does="pairs", connections=2))
    accounts = Counter(
        name for request in requests for name in re.findall(rb"test:([0-9]+)", request)
    )
    assert accounts == Counter({b"%d" % number: 1 for number in range(10)})


def test_crews_work_at_once_and_are_told_apart() -> None:
    reads = Crew(does="reads", connections=1, at_most=6)
    (paid, read), requests, _ = load(
        lambda request: [told("200 OK") if request.startswith(b"GET") else CREATED], SPREAD, reads
    )
    assert (paid.answers, read.answers) == ({"201": 20}, {"200": 6})
    for path in (b"/balance ", b"/v1/payments/pay_1 ", b"/statement?from="):
        assert sum(path in request for request in requests) == 2


def test_what_comes_while_it_warms_up_is_answered_but_not_measured() -> None:
    (done,), requests, _ = load(
        lambda _: [CREATED], Crew(does="spread", connections=1), warm_s=0.4, seconds=0.4
    )
    assert done.answers == {"201": len(requests)}
    assert 0 < done.requests < len(requests)
    assert done.rate == pytest.approx(done.requests / 0.4, rel=0.2)


def test_an_open_loop_keeps_its_pace_and_counts_the_wait_for_a_slow_answer() -> None:
    """A closed loop would wait with the server, and have one slow answer."""

    def answers(request: bytes) -> list[bytes]:
        slow = b"-100\r" in request
        return [b""] * (100 if slow else 0) + [CREATED]

    crew = Crew(does="spread", connections=1, a_second=200, at_most=None)
    (done,), requests, _ = load(answers, crew, seconds=2)
    assert len(requests) == pytest.approx(400, abs=40)
    assert done.longest_ms is not None
    assert done.longest_ms >= 200
    assert done.p99_ms is not None
    assert done.p99_ms > 150


def test_a_connection_that_breaks_ends_the_load() -> None:
    with pytest.raises(OSError, match="hung up"):
        load(lambda request: [HANG_UP if b"-5\r" in request else CREATED], SPREAD)
