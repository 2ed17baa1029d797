"""`tally serve --workers`: the writer's process is killed or stands still, and those that serve are
killed; each command is recorded once, and of the writer's end no client hears anything."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.fixtures.fix_processes import Api, Figure, Reply, Rest, Scaled, System, reached
from tests.fixtures.fix_tally import freeze, until

PEOPLE = [f"customers:{number}" for number in range(20)]
KILLS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL)
TAKEN_OVER_WITHIN_S = 5.0
CLIENTS = 8


def processes(api: Api, command: str) -> list[int]:
    """The pids of those below the API's own process that run this command of `tally`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == api.process.pid and command.encode() in arguments:
            found.append(int(folder.name))
    return sorted(found)


class Load:
    """Clients that pay, singly and by the line, until they are told to stop."""

    def __init__(self, rest: Rest, api: Api) -> None:
        self._rest, self._api = rest, api
        self._chance = random.Random(5)
        self._tasks: list[asyncio.Task[None]] = []
        self._stopped = False
        self.replies: dict[str, Reply] = {}
        self.lines: list[dict[str, Any]] = []

    def start(self, name: str, *, singles: int, bulks: int) -> None:
        self._stopped = False
        self._tasks = [asyncio.create_task(self._singly(f"{name}-{n}")) for n in range(singles)]
        self._tasks += [asyncio.create_task(self._by_the_line(f"{name}-{n}")) for n in range(bulks)]

    async def stop(self) -> None:
        self._stopped = True
        await asyncio.gather(*self._tasks)

    async def more(self, wanted: int) -> None:
        end = len(self.replies) + wanted
        await reached(lambda: len(self.replies) >= end)

    async def _singly(self, client: str) -> None:
        for number in count():
            if self._stopped:
                return
            key = f"{client}-{number}"
            self.replies[key] = await self._rest.pay(
                self._api, "cash", self._chance.choice(PEOPLE), 1, key
            )

    async def _by_the_line(self, client: str) -> None:
        for number in count():
            if self._stopped:
                return
            lines = [
                {
                    "idempotency_key": f"bulk-{client}-{number}-{line}",
                    "postings": [
                        {
                            "debit": "cash",
                            "credit": self._chance.choice(PEOPLE),
                            "amount": 1,
                            "currency": "EUR",
                        }
                    ],
                }
                for line in range(100)
            ]
            status, told = await self._rest.bulk(self._api, lines)
            assert status == 200
            assert len(told) == len(lines)
            self.lines += told

    def assert_recorded_once(self, system: System) -> int:
        """Each of its payments, and nothing else after the accounts; gives how many."""
        positions = [reply.position for reply in self.replies.values()]
        positions += [line["position"] for line in self.lines]
        assert {reply.status for reply in self.replies.values()} == {201}
        assert {line["status"] for line in self.lines} <= {201}
        assert len(set(positions)) == len(positions)
        assert system.assert_positions_have_no_gap() == 2 * (1 + len(PEOPLE)) + 3 * len(positions)
        return len(positions)


async def open_accounts(rest: Rest, api: Api) -> None:
    await rest.open(api, "cash", normal_side="debit", overdraft_limit=None)
    await rest.open(api, *PEOPLE)


async def under_load(
    rest: Rest, api: Api, *, rounds: int, bulks: int, kill: Callable[[int], Awaitable[None]]
) -> Load:
    """What clients got who paid while `kill` was called with one signal of KILLS after the other.

    After each round all of the API is started anew: a supervisor waits longer and longer for what
    dies again and again.
    """
    chance = random.Random(1)
    await rest.open(api, "cash", normal_side="debit", overdraft_limit=None)
    await rest.open(api, *PEOPLE)
    load = Load(rest, api)
    for number in range(rounds):
        assert len(processes(api, "serve")) == 2
        load.start(f"{number}", singles=24, bulks=bulks)
        for signal_ in KILLS:
            await load.more(chance.randint(20, 300))
            await kill(signal_)
        await load.more(50)
        await load.stop()
        await asyncio.to_thread(ended, api)
        api.start()
    return load


@pytest.mark.slow
def test_a_writer_that_ends_costs_its_clients_time_alone(
    system: System, scaled: Scaled, figure: Figure
) -> None:
    rounds = scaled(12, least=1)
    # One that is asked to end goes on for so long, for API processes that end too.
    api = system.api(TALLY_SERVE_WORKERS="2", TALLY_DRAIN_TIMEOUT_S="0.3")

    async def kill(signal_: int) -> None:
        (writer,) = processes(api, "write")
        os.kill(writer, signal_)
        await reached(lambda: processes(api, "write") not in ([], [writer]))

    async def test() -> None:
        async with system.rest() as rest:
            load = await under_load(rest, api, rounds=rounds, bulks=1, kill=kill)
            assert not rest.troubles
            assert not any(reply.replayed for reply in load.replies.values())
            assert not any(line["replayed"] for line in load.lines)
            figure("writers ended under load, three of four by kill -9", rounds * len(KILLS))
            figure("… payments answered, none with an error", load.assert_recorded_once(system))
            figure("… the longest wait for an answer, s", round(rest.slowest_s, 2))
            assert rest.slowest_s < TAKEN_OVER_WITHIN_S

    asyncio.run(test())


@pytest.mark.slow
def test_a_killed_api_process_costs_its_clients_a_connection(
    system: System, scaled: Scaled, figure: Figure
) -> None:
    rounds = scaled(12, least=1)
    api = system.api(TALLY_SERVE_WORKERS="2")
    chance = random.Random(2)

    async def kill(_: int) -> None:
        before = processes(api, "serve")
        os.kill(chance.choice(before), signal.SIGKILL)
        await reached(lambda: len(now := processes(api, "serve")) == 2 and now != before)

    async def test() -> None:
        async with system.rest() as rest:
            load = await under_load(rest, api, rounds=rounds, bulks=0, kill=kill)
            assert set(rest.troubles) == {"no answer"}
            figure("API processes killed under load", rounds * len(KILLS))
            figure("… payments, each recorded once", load.assert_recorded_once(system))
            figure("… connections that broke, and were asked again", rest.troubles["no answer"])

    asyncio.run(test())


@pytest.mark.slow
def test_clients_of_a_writer_that_stands_still_are_told_and_served_when_it_goes_on(
    system: System, scaled: Scaled
) -> None:
    """By itself its connection stays, and nothing would ever come over it."""
    api = system.api(TALLY_SERVE_WORKERS="1", TALLY_STORE_TIMEOUT_S="0.5")
    times = max(2, scaled(20))

    async def test() -> None:
        async with system.rest() as rest:
            await open_accounts(rest, api)
            load = Load(rest, api)
            load.start("still", singles=CLIENTS, bulks=0)
            (writer,) = processes(api, "write")
            for _ in range(times):
                await load.more(100)
                told = rest.troubles["store_unavailable"]
                try:
                    await asyncio.to_thread(freeze, writer)
                    await reached(lambda n=told: rest.troubles["store_unavailable"] >= n + CLIENTS)
                finally:
                    os.kill(writer, signal.SIGCONT)
            await load.more(100)
            await load.stop()
            load.assert_recorded_once(system)
            assert set(rest.troubles) == {"store_unavailable"}
            assert processes(api, "write") == [writer]

    asyncio.run(test())


def ended(api: Api) -> None:
    """By SIGTERM, with all its processes."""
    below = processes(api, "serve") + processes(api, "write")
    api.process.signal(signal.SIGTERM)
    assert api.process.wait() == 0
    assert not [pid for pid in below if Path(f"/proc/{pid}").exists()]


@pytest.mark.slow
def test_a_killed_supervisor_leaves_no_process_behind(system: System) -> None:
    api = system.api(TALLY_SERVE_WORKERS="2")
    below = processes(api, "serve") + processes(api, "write")
    assert len(below) == 3
    api.process.kill()
    until(lambda: not [pid for pid in below if Path(f"/proc/{pid}").exists()])


@pytest.mark.slow
def test_whichever_process_is_asked_tells_what_all_have_measured(system: System) -> None:
    api = system.api(TALLY_SERVE_WORKERS="3")

    async def measured(rest: Rest) -> dict[str, float]:
        """By a connection of its own, so that any process may answer."""
        async with aiohttp.ClientSession() as session, session.get(f"{api.url}/metrics") as told:
            lines = (await told.text()).splitlines()
        values = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in values}

    async def test() -> None:
        async with system.rest() as rest:
            await rest.open(api, "cash", normal_side="debit", overdraft_limit=None)
            await rest.open(api, *PEOPLE)
            for number in range(30):
                await rest.pay(api, "cash", PEOPLE[0], 1, f"p{number}")
            for _ in range(12):
                found = await measured(rest)
                command = 'tally_commands_total{command="make_payment",outcome="accepted"}'
                assert found[command] == 30
                assert found["tally_events_appended_total"] == 2 * (1 + len(PEOPLE)) + 90
                assert found["tally_writer_batch_commands_count"] >= 1
                assert found["tally_store_end"] == found["tally_events_appended_total"]

    asyncio.run(test())
