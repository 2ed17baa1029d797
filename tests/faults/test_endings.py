"""How an API process ends, and what it says where it has too much to do."""

import asyncio
import signal
import sys
from collections.abc import Callable

import aiohttp
import pytest

from tests.fixtures.fix_processes import Figure, System, reached
from tests.fixtures.fix_proxy import Fate, Proxy

FAILING_WRITER = """
from application.ledger import Ledger
from api.cli import main

decide = Ledger.decide

def failing(ledger, *arguments):
    if "a defect" in str(arguments):
        raise SystemExit("the thread ends")
    return decide(ledger, *arguments)

Ledger.decide = failing
main()
"""


def test_a_process_whose_writer_died_ends_at_once(system: System) -> None:
    """It would take commands that nobody decides; its supervisor starts another one."""
    api = system.api(program=(sys.executable, "-P", "-c", FAILING_WRITER))

    async def run() -> None:
        async with system.rest() as rest:
            await rest.open(api, "alice")
            body = {"id": "bob", "currency": "EUR", "metadata": {"with": "a defect"}}
            with pytest.raises(aiohttp.ClientError):
                await rest.send(api, "POST", "/v1/accounts", body)

    asyncio.run(run())
    assert api.process.wait(30) == 70
    assert "the writer died" in api.process.said


@pytest.mark.slow
def test_sigterm_answers_what_was_taken_and_nothing_else(
    system: System, new_proxy: Callable[[str], Proxy]
) -> None:
    proxy = new_proxy(system.store.app_dsn)
    api = system.api(dsn=proxy.dsn)

    async def run() -> None:
        async with system.rest() as rest:
            await rest.open(api, "cash", normal_side="debit", overdraft_limit=None)
            await rest.open(api, "alice")
            proxy.once(Fate.HOLD_BEFORE)
            first = asyncio.create_task(rest.pay(api, "cash", "alice", 1))
            await reached(proxy.held.is_set)
            queued = [asyncio.create_task(rest.pay(api, "cash", "alice", 1)) for _ in range(50)]
            await rest.queued(api, 50)
            api.listen_no_more()
            api.process.signal(signal.SIGTERM)
            await asyncio.sleep(0.5)
            assert not any(task.done() for task in (first, *queued))
            with pytest.raises(aiohttp.ClientConnectionError):
                await rest.send(api, "POST", "/v1/payments", {})
            assert api.process.running
            proxy.release()
            replies = await asyncio.gather(first, *queued)
            assert [reply.status for reply in replies] == [201] * 51
            assert not rest.troubles

    asyncio.run(run())
    assert api.process.wait(30) == 0
    settled = "SELECT count(*) FROM tally.events WHERE type = 'tally.payment.settled.v1'"
    assert system.rows(settled) == [(51,)]


@pytest.mark.slow
def test_more_than_the_queue_holds_is_refused_at_once(
    system: System, new_proxy: Callable[[str], Proxy], figure: Figure
) -> None:
    """While the store is slow: who waits is bounded, the others know where they stand."""
    proxy = new_proxy(system.store.app_dsn)
    api = system.api(dsn=proxy.dsn, TALLY_QUEUE_SIZE="5")

    async def run() -> None:
        async with system.rest() as rest:
            await rest.open(api, "cash", normal_side="debit", overdraft_limit=None)
            await rest.open(api, "alice")
            proxy.once(Fate.HOLD_BEFORE)
            sent = [asyncio.create_task(rest.pay(api, "cash", "alice", 1))]
            await reached(proxy.held.is_set)
            sent += [asyncio.create_task(rest.pay(api, "cash", "alice", 1)) for _ in range(5)]
            await rest.queued(api, 5)
            rest.slowest_s = 0.0
            posting = {"debit": "cash", "credit": "alice", "amount": 1, "currency": "EUR"}
            for _ in range(20):
                reply = await rest.send(api, "POST", "/v1/payments", {"postings": [posting]})
                assert (reply.status, reply.body["code"]) == (503, "overloaded")
                assert reply.retry_after == "1"
            figure("slowest of 20 refusals by a full queue, s", rest.slowest_s)
            assert proxy.held.is_set()
            assert not any(task.done() for task in sent)
            proxy.release()
            assert all(reply.status == 201 for reply in await asyncio.gather(*sent))

    asyncio.run(run())
    settled = "SELECT count(*) FROM tally.events WHERE type = 'tally.payment.settled.v1'"
    assert system.rows(settled) == [(6,)]
