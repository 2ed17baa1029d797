"""The link to a writer in another process, over real sockets: what becomes of commands when either
end goes away, reads nothing, or has too much to do."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from msgspec import Raw

from application.answers import Answer
from application.commands import Command, PayTogether, VoidPayment
from application.ledger import Ledger
from application.ports import StoreUnavailable
from application.wire import (
    Answered,
    Sent,
    WriterDefect,
    answers_in,
    answers_told,
    commands_told,
    kind_and_content,
)
from application.writer import Overloaded
from domain.ids import account_stream, command_stream
from domain.refusals import NotFound
from infrastructure import writer_link
from infrastructure.writer_link import RemoteWriter, WriterServer, _message, _Messages
from tests.fixtures.fix_ledger import a_ledger, a_writer, command, commit, opened, payment
from tests.fixtures.fix_postgres import Store


@pytest.fixture
def ledger(fresh_store: Store) -> Iterator[Ledger]:
    with a_ledger(fresh_store) as made:
        commit(made, opened("cash", "cash", normal_side="debit", overdraft_limit=None))
        commit(made, opened("alice", "alice"))
        yield made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "writer"


@contextmanager
def serving(
    path: Path, ledger: Ledger, *, silent: bool = False, **settings: Any
) -> Iterator[WriterServer]:
    """A writer that serves there as long as the block runs, and is cut off then; a silent one
    decides, and tells nobody."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(4)
        server = WriterServer(listener)
        told = (lambda: None) if silent else server.tell
        with a_writer(ledger, **{"answered": told, **settings}) as writer:
            server.start(writer)
            yield server
        for session in server._sessions.copy():
            with suppress(OSError):  # its peer has gone by itself
                session._connection.shutdown(socket.SHUT_RDWR)
            session.thread.join(10)
            assert not session.thread.is_alive()
        assert not server._sessions
        path.unlink()


@asynccontextmanager
async def linked(path: Path, **settings: Any) -> AsyncIterator[RemoteWriter]:
    remote = RemoteWriter(
        path, **{"queue_size": 1_000, "batch_size": 1_000, "timeout_s": 20.0, **settings}
    )
    await remote.start()
    try:
        yield remote
    finally:
        await remote.stop()


async def result(remote: RemoteWriter, sent: Command) -> Answer:
    return await asyncio.wait_for(asyncio.wrap_future(remote.submit(sent)), 30)


async def until(what: Any) -> None:
    for _ in range(1_500):
        if what():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come to pass")


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def a_piece(name: str, count: int) -> PayTogether:
    payments = [payment(f"{name}-{n}", ("cash", "alice", 1)) for n in range(count)]
    made: PayTogether = command(PayTogether, name, payments=payments, all_or_none=False)
    return made


def posted(ledger: Ledger) -> int:
    """Alice's, replayed from the store, without the cache."""
    replayed: Any = ledger.repository.get(account_stream("main", "alice"))
    return int(replayed.posted)


def test_it_decides_as_the_writer_itself(ledger: Ledger, path: Path) -> None:
    async def test() -> None:
        async with linked(path) as remote:
            answers = await asyncio.gather(
                result(remote, payment("p1", ("cash", "alice", 70))),
                result(remote, a_piece("piece", 3)),
                result(remote, payment("p2", ("alice", "cash", 74))),
                result(remote, payment("p1", ("cash", "alice", 70))),
            )
            one, together, refused, twin = answers
            assert all(isinstance(line, Answer) for line in together.lines)
            assert len(together.lines) == 3
            assert refused.refusal is not None
            assert refused.refusal["code"] == "insufficient_funds"
            assert twin == one._replace(replayed=True)
            nothing = command_stream("main", "shop", "nothing")
            with pytest.raises(NotFound):
                await result(remote, command(VoidPayment, "v", payment=nothing))
            assert remote.queued == 0

    with serving(path, ledger):
        run(test())


def test_commands_wait_for_the_first_writer(ledger: Ledger, path: Path) -> None:
    async def test() -> None:
        async with linked(path) as remote:
            sent = asyncio.ensure_future(result(remote, payment("p", ("cash", "alice", 5))))
            await asyncio.sleep(0.2)
            assert not remote.alive
            assert remote.queued == 1
            with serving(path, ledger):
                assert (await sent).refusal is None
                assert remote.alive
        assert posted(ledger) == 5

    run(test())


def test_a_connection_that_nobody_has_accepted_is_no_writer(path: Path) -> None:
    async def test() -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(1)
            async with linked(path, timeout_s=0.4) as remote:
                with pytest.raises(StoreUnavailable):
                    await result(remote, payment("p", ("cash", "alice", 5)))
                assert not remote.alive

    run(test())


def test_what_a_writer_recorded_without_saying_so_is_answered_by_the_next_one_as_its_own(
    ledger: Ledger, path: Path, fresh_store: Store
) -> None:
    sent = [payment(f"p{n}", ("cash", "alice", 1)) for n in range(5)]

    async def test() -> None:
        async with linked(path) as remote:
            with serving(path, ledger, silent=True):
                waiting = [asyncio.ensure_future(result(remote, each)) for each in sent]
                bulk = asyncio.ensure_future(result(remote, a_piece("piece", 4)))
                await until(lambda: posted(ledger) == 9)
            await until(lambda: not remote.alive)
            # Meanwhile more comes in, and has its turn after those.
            later = asyncio.ensure_future(result(remote, payment("later", ("cash", "alice", 1))))
            with a_ledger(fresh_store) as another, serving(path, another):
                answers = await asyncio.gather(*waiting)
                lines = (await bulk).lines
                last = await later
                again = await result(remote, payment("p0", ("cash", "alice", 1)))
        told = [each for each in (*answers, *lines, last) if isinstance(each, Answer)]
        assert len(told) == 10
        assert not any(answer.replayed for answer in told)
        positions = [answer.position for answer in told]
        assert positions == sorted(positions)
        assert again == answers[0]._replace(replayed=True)
        assert posted(ledger) == 10

    run(test())


def test_without_a_writer_nobody_knows_and_the_next_one_serves_again(
    ledger: Ledger, path: Path
) -> None:
    async def test() -> None:
        async with linked(path, timeout_s=0.3) as remote:
            with serving(path, ledger, silent=True):
                had = asyncio.ensure_future(result(remote, payment("had", ("cash", "alice", 1))))
                await until(lambda: posted(ledger) == 1)
            with pytest.raises(StoreUnavailable):
                await had
            # Nobody is made to wait for what has been given up.
            with pytest.raises(StoreUnavailable):
                await asyncio.wait_for(result(remote, payment("new", ("cash", "alice", 1))), 0.2)
            with serving(path, ledger):
                await until(lambda: remote.alive)
                assert (await result(remote, payment("had", ("cash", "alice", 1)))).replayed
                assert not (await result(remote, payment("new", ("cash", "alice", 1)))).replayed
        assert posted(ledger) == 2

    run(test())


def test_a_full_queue_is_said_at_once_but_not_of_what_is_in_doubt(
    ledger: Ledger, path: Path
) -> None:
    go, insert = Event(), ledger.store.insert_events

    def waiting(*args: Any, **kwargs: Any) -> Any:
        assert go.wait(30)
        return insert(*args, **kwargs)

    async def test() -> None:
        async with linked(path) as remote:
            first = asyncio.ensure_future(result(remote, payment("p0", ("cash", "alice", 1))))
            await until(lambda: remote.queued == 1)
            await asyncio.sleep(0.2)  # the writer has it
            second = asyncio.ensure_future(result(remote, payment("p1", ("cash", "alice", 1))))
            await asyncio.sleep(0.2)
            with pytest.raises(Overloaded):
                await result(remote, payment("p2", ("cash", "alice", 1)))
            assert not second.done()
            with Peer(path) as peer:
                peer.send(Sent(9, True, *kind_and_content(payment("p3", ("cash", "alice", 1)))))
                ((number, told),) = await asyncio.to_thread(peer.answers)
            assert (number, type(told)) == (9, StoreUnavailable)
            go.set()
            assert not (await first).replayed
            assert not (await second).replayed

    ledger.store.insert_events = waiting  # type: ignore[method-assign]
    with serving(path, ledger, queue_size=1):
        run(test())
    assert posted(ledger) == 2


def test_an_api_process_keeps_no_more_than_a_queue(path: Path) -> None:
    async def test() -> None:
        async with linked(path, queue_size=2, timeout_s=0.3) as remote:
            sent = [remote.submit(payment(f"p{n}", ("cash", "alice", 1))) for n in range(2)]
            with pytest.raises(Overloaded):
                remote.submit(payment("p2", ("cash", "alice", 1)))
            for each in sent:
                with pytest.raises(StoreUnavailable):
                    await asyncio.wrap_future(each)

    run(test())


def test_whose_client_left_before_it_was_sent_is_not_decided(ledger: Ledger, path: Path) -> None:
    async def test() -> None:
        async with linked(path) as remote:
            left = remote.submit(payment("left", ("cash", "alice", 1)))
            assert left.cancel()
            with serving(path, ledger):
                await result(remote, payment("stays", ("cash", "alice", 1)))
            assert remote.queued == 0
        assert posted(ledger) == 1

    run(test())


def test_what_cannot_be_told_is_known_before_it_is_queued(path: Path) -> None:
    async def test() -> None:
        async with linked(path) as remote:
            with pytest.raises(OverflowError):
                remote.submit(payment("p", ("cash", "alice", 2**70)))
            assert remote.queued == 0

    run(test())


class Peer:
    """An API process, byte by byte."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(str(path))
        self._messages = _Messages()
        assert self.answers() == []

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, *sent: Sent) -> None:
        for byte in _message(commands_told(sent)):
            self._socket.sendall(bytes([byte]))

    def send_at_once(self, *sent: Sent) -> None:
        self._socket.sendall(_message(commands_told(sent)))

    def answers(self) -> list[Answered]:
        """Of the next message."""
        while True:
            for message in self._messages.of(self._socket.recv(7)):
                return answers_in(message)

    @property
    def cut_off(self) -> bool:
        while received := self._socket.recv(1 << 20):
            assert received
        return True


def test_a_command_that_is_none_is_a_defect_of_its_own(ledger: Ledger, path: Path) -> None:
    good = payment("good", ("cash", "alice", 1))
    with serving(path, ledger), Peer(path) as peer:
        peer.send(
            Sent(1, False, "NoCommand", Raw(b"\x80")),
            Sent(2, False, "MakePayment", Raw(b"\x80")),
            Sent(3, False, *kind_and_content(good)),
        )
        told: dict[int, Any] = {}
        while len(told) < 3:
            told |= dict(peer.answers())
    assert [type(told[number]) for number in (1, 2, 3)] == [WriterDefect, WriterDefect, Answer]


def test_a_defect_of_the_writer_is_told_as_one(ledger: Ledger, path: Path) -> None:
    async def test() -> None:
        async with linked(path) as remote:
            with pytest.raises(WriterDefect):
                await result(remote, payment("p", ("cash", "alice", 1)))
            assert remote.queued == 0

    def broken(*_: Any, **__: Any) -> Any:
        raise ValueError("bug")

    ledger.store.insert_events = broken  # type: ignore[method-assign]
    with serving(path, ledger):
        run(test())


def test_who_reads_no_answers_is_cut_off_and_the_others_are_served(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_link, "READS_WITHIN_S", 1)
    many = [
        Sent(n, False, *kind_and_content(payment(f"p{n}", ("cash", "alice", 1))))
        for n in range(3_000)
    ]

    async def test() -> None:
        async with linked(path) as remote:
            with Peer(path) as deaf:
                await asyncio.to_thread(deaf.send_at_once, *many)
                answer = await result(remote, payment("other", ("cash", "alice", 1)))
                assert answer.refusal is None
                await until(lambda: len(server._sessions) == 1)
                assert await asyncio.to_thread(lambda: deaf.cut_off)
            # What it had sent is decided all the same.
            await until(lambda: posted(ledger) == len(many) + 1)

    with serving(path, ledger) as server:
        run(test())


def test_out_of_files_it_takes_api_processes_on_again_once_there_are_some(
    ledger: Ledger, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def test() -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket(socket.AF_UNIX) as api:
            next_one = os.dup(api.fileno())
            os.close(next_one)
            resource.setrlimit(resource.RLIMIT_NOFILE, (next_one, hard))
            try:
                api.connect(str(path))
                await until(lambda: "not taken on" in caplog.text)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            api.settimeout(30)
            assert api.recv(100) == _message(answers_told([]))

    with serving(path, ledger):
        run(test())
