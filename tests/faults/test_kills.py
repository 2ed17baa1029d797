"""kill -9 in mid-import, and read models and snapshots thrown away: the same ledger afterwards."""

import asyncio
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from tests.fixtures.fix_processes import (
    Api,
    Figure,
    Process,
    Reply,
    Rest,
    Scaled,
    System,
)
from tests.fixtures.fix_proxy import Fate, Proxy
from tests.fixtures.fix_tally import until

PEOPLE = [f"customers:{number}" for number in range(40)]
UNLIMITED = ("cash", "bank")
HEADER = "type,id,currency,normal_side,overdraft_limit,debit,credit,amount,reference"


class File(NamedTuple):
    """An import, and what must come of it, told without the product."""

    path: Path
    bodies: dict[str, dict[str, Any]]
    """Requests by idempotency key, as the import sends them."""
    settled: int
    refused: int
    balances: dict[str, int]


def a_file(path: Path, payments: int) -> File:
    """Money comes in from cash, moves among people, goes out to the bank; some have too little."""
    chance = random.Random(3)
    balances = dict.fromkeys((*UNLIMITED, *PEOPLE), 0)
    bodies: dict[str, dict[str, Any]] = {}
    settled = 0
    lines = [HEADER, "account,cash,EUR,debit,unlimited,,,,", "account,bank,EUR,,unlimited,,,,"]
    lines += [f"account,{name},EUR,,,,,," for name in PEOPLE]
    for number in range(payments):
        one, other = chance.sample(PEOPLE, 2)
        debit, credit = chance.choice([("cash", one), (one, other), (one, "bank")])
        minor = chance.randint(1, 5_000)
        major = f"{minor // 100}.{minor % 100:02}"
        lines.append(f"payment,row-{number},EUR,,,{debit},{credit},{major},r{number}")
        posting = {"debit": debit, "credit": credit, "amount": minor, "currency": "EUR"}
        bodies[f"import-row-{number}"] = {"postings": [posting], "reference": f"r{number}"}
        if debit == "cash" or balances[debit] >= minor:
            settled += 1
            balances[debit] += minor if debit == "cash" else -minor
            balances[credit] += minor
    path.write_text("\n".join(lines))
    return File(path, bodies, settled, payments - settled, balances)


def importing(system: System, api: Api, file: File) -> Process:
    return system.program(
        *("import", str(file.path), "--url", api.url, "--json", "--concurrency", "16"),
        TALLY_KEY=system.keys["client"],
        TALLY_ADMIN_KEY=system.keys["admin"],
    )


def summary(process: Process) -> dict[str, Any]:
    """Of an import that ends well."""
    told: dict[str, Any] = json.loads(process.first_line())
    assert process.wait() == 0, process.said
    return told


class Killer:
    """Kills one part in mid-import and starts it again, over and over."""

    def __init__(self, api: Api, worker: Process, proxy: Proxy) -> None:
        self.api, self.worker, self.proxy = api, worker, proxy
        self.chance = random.Random(9)
        self.kills = self.of_worker = 0

    def kill(self, number: int) -> None:
        """Every second time the API between append and answer."""
        match number % 4:
            case 0 | 2:
                self._at(Fate.HOLD_AFTER)
            case 1:
                self._at(self.chance.choice((Fate.HOLD_BEFORE, Fate.PASS)))
            case _:
                self._appends(self.chance.randint(1, 4))
                self.worker.kill()
                self.worker.start()
                self.of_worker += 1
        self.kills += 1

    def _at(self, fate: Fate) -> None:
        """The API, in the middle of an append: it is held there, so that it can't be missed."""
        self._appends(self.chance.randint(1, 4))
        if fate is not Fate.PASS:
            landed = self.proxy.landed[fate]
            self.proxy.once(fate)
            assert self.proxy.held.wait(30), "the import is over"
            assert fate is Fate.HOLD_BEFORE or self.proxy.landed[fate] == landed + 1
        self.api.process.kill()
        self.proxy.release()
        self.api.start()

    def _appends(self, wanted: int) -> None:
        """Lets so many go on."""
        end = self.proxy.appends + wanted
        until(lambda: self.proxy.appends >= end)


async def everything(rest: Rest, api: Api) -> dict[str, Any]:
    """What the read models say, all of it."""
    shown: dict[str, Any] = {
        name: await rest.all(api, f"/v1/{name}") for name in ("accounts", "balances", "payments")
    }
    today = "from=2000-01-01&to=2999-01-01"
    for name in (*UNLIMITED, *PEOPLE[:5]):
        end = (await rest.send(api, "GET", "/v1/status")).body["end"]
        path = f"/v1/accounts/{name}/statement?{today}&limit=500&min_position={end}"
        page = await rest.send(api, "GET", path, Prefer="wait=30")
        assert page.status == 200, page
        shown[name] = page.body
    return shown


async def answers(rest: Rest, api: Api, bodies: dict[str, dict[str, Any]]) -> dict[str, Reply]:
    """What every key answers now."""
    replies: dict[str, Reply] = {}
    keys = iter(bodies)

    async def client() -> None:
        for key in keys:
            replies[key] = await rest.decided(api, "/v1/payments", bodies[key], key=key)

    await asyncio.gather(*(client() for _ in range(16)))
    return replies


def drop_what_is_disposable(system: System) -> int:
    """Every table of the read models, and every snapshot; gives how many."""
    with psycopg.connect(system.store.owner_dsn) as conn:
        snapshots = conn.execute("DELETE FROM tally.snapshots").rowcount
        tables = conn.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
            " WHERE schemaname = 'tally_read'"
        ).fetchall()
        for (table,) in tables:
            conn.execute(f"DROP TABLE {table} CASCADE".encode())
    assert snapshots
    assert tables
    return snapshots + len(tables)


@pytest.mark.slow
def test_an_import_killed_over_and_over_ends_as_one_that_was_not(
    system: System,
    new_proxy: Callable[[str], Proxy],
    tmp_path: Path,
    scaled: Scaled,
    figure: Figure,
) -> None:
    kills = scaled(50, least=5)
    file = a_file(tmp_path / "file.csv", 100 * kills + 200)
    proxy = new_proxy(system.store.app_dsn)
    # Many snapshots, so that what begins again begins with them; small batches, since an import
    # sends a thousand payments at once.
    api = system.api(dsn=proxy.dsn, TALLY_SNAPSHOT_INTERVAL="2", TALLY_BATCH_SIZE="10")
    worker = system.worker()

    first = importing(system, api, file)
    killer = Killer(api, worker, proxy)
    for number in range(kills):
        killer.kill(number)
        assert first.running, "the import was over before the last kill"
    told = summary(first)
    in_between = proxy.landed[Fate.HOLD_AFTER]
    figure("kill -9 in mid-import", killer.kills)
    figure("… of the API between append and answer", in_between)
    figure("… of a worker", killer.of_worker)
    assert in_between * 3 >= kills
    assert (told["settled"], told["refused"]) == (
        file.settled,
        {"insufficient_funds": file.refused},
    )
    again = summary(importing(system, api, file))
    assert again["replayed"] == again["rows"] == told["rows"]
    assert (again["settled"], again["refused"]) == (0, {})

    end = system.assert_positions_have_no_gap()
    accounts = len(PEOPLE) + len(UNLIMITED)
    assert end == 2 * accounts + 3 * file.settled + file.refused

    async def afterwards() -> None:
        async with system.rest() as rest:
            balances = await rest.all(api, "/v1/balances")
            assert {one["account"]: one["posted"] for one in balances} == file.balances
            replies = await answers(rest, api, file.bodies)
            assert all(reply.replayed for reply in replies.values())
            assert sum(reply.status == 201 for reply in replies.values()) == file.settled
            assert system.assert_positions_have_no_gap() == end
            own = {f"own-{n}": body for n, body in enumerate(file.bodies.values()) if n % 10 == 0}
            first = await answers(rest, api, own)
            assert not any(reply.replayed for reply in first.values())
            replies |= first
            before = await everything(rest, api)
            end_before = system.assert_positions_have_no_gap()

            api.process.kill()
            worker.kill()
            figure("read-model tables and snapshots dropped", drop_what_is_disposable(system))
            worker.start()
            api.start()
            assert await everything(rest, api) == before
            again = await answers(rest, api, {**file.bodies, **own})
            for key, reply in again.items():
                assert reply.replayed
                assert reply.outcome == replies[key].outcome, key
            figure("keys that gave their first answer again", len(again))
            assert system.assert_positions_have_no_gap() == end_before

    asyncio.run(afterwards())
