"""The line to the store is cut, or goes silent, in mid-append: nothing doubled, nothing lost."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.fixtures.fix_ledger import a_ledger, a_writer, opened
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_processes import Api, Figure, Reply, Rest, Scaled, System, reached
from tests.fixtures.fix_proxy import Fate, Proxy

CLIENTS = 32
MIN_PAYMENTS = 10
"""Of each client, however few the cuts are."""


async def prepare(rest: Rest, api: Api) -> None:
    await rest.open(api, "cash", normal_side="debit", overdraft_limit=None)
    await rest.open(api, *(f"c{number}" for number in range(CLIENTS)))


async def under_load(rest: Rest, go_on: Callable[[], bool], *apis: Api) -> dict[str, Reply]:
    """Clients pay and draw at random, each in turn, while `go_on()`; gives the answers by key."""
    answers: dict[str, Reply] = {}

    async def client(number: int) -> None:
        own, chance, count = f"c{number}", random.Random(number), 0
        while count < MIN_PAYMENTS or go_on():
            key, amount = f"{number}-{count}", chance.randint(1, 100)
            way = ("cash", own) if chance.random() < 0.6 else (own, "cash")
            answers[key] = await rest.pay(apis[number % len(apis)], *way, amount, key)
            count += 1

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    return answers


async def assert_nothing_doubled_or_lost(
    system: System, rest: Rest, api: Api, answers: dict[str, Reply]
) -> None:
    """Every answer is in the store, once, and nothing else is; and is given again for its key."""
    payments = system.rows(
        "SELECT position, stream::text, type FROM tally.events WHERE type LIKE 'tally.payment.%%'"
    )
    stored = {stream: kind for _, stream, kind in payments}
    assert len(stored) == len(payments) == len(answers)
    balances = {f"c{number}": 0 for number in range(CLIENTS)}
    for reply in sorted(answers.values(), key=lambda reply: reply.position):
        if reply.status == 201:
            assert stored.pop(reply.body["id"]) == "tally.payment.settled.v1"
            (posting,) = reply.body["postings"]
            for name, sign in ((posting["debit"], -1), (posting["credit"], 1)):
                if name != "cash":
                    balances[name] += sign * posting["amount"]
                    told = {one["account"]: one["posted"] for one in reply.body["balances"]}
                    assert told[name] == balances[name]
        else:
            assert reply.body["code"] == "insufficient_funds"
            assert stored.pop(reply.body["payment_id"]) == "tally.payment.refused.v1"
    assert not stored
    settled = sum(reply.status == 201 for reply in answers.values())
    end = system.assert_positions_have_no_gap()
    assert end == 2 * (CLIENTS + 1) + 3 * settled + (len(answers) - settled)

    async def again(key: str, first: Reply) -> None:
        number = key.partition("-")[0]
        chance = random.Random(int(number))
        for _ in range(int(key.partition("-")[2]) + 1):
            amount = chance.randint(1, 100)
            way = ("cash", f"c{number}") if chance.random() < 0.6 else (f"c{number}", "cash")
        reply = await rest.pay(api, *way, amount, key)
        assert reply.replayed
        assert reply.outcome == first.outcome

    some = random.Random(0).sample(sorted(answers), min(200, len(answers)))
    for key in some:
        await again(key, answers[key])
    assert system.assert_positions_have_no_gap() == end


@pytest.mark.slow
def test_a_line_cut_in_mid_append_doubles_nothing_and_loses_nothing(
    system: System, new_proxy: Callable[[str], Proxy], scaled: Scaled, figure: Figure
) -> None:
    """Another process races on the same store, so that a cut meets lost races, too."""
    wanted = scaled(200)
    proxy = new_proxy(system.store.app_dsn)
    api, other = system.api(dsn=proxy.dsn), system.api()
    chance = random.Random(5)

    def fate() -> Fate:
        if chance.random() < 0.5:
            return Fate.PASS
        more_before = proxy.fates[Fate.CUT_BEFORE] >= proxy.landed[Fate.CUT_AFTER]
        return Fate.CUT_AFTER if more_before else Fate.CUT_BEFORE

    def cuts() -> int:
        return proxy.fates[Fate.CUT_BEFORE] + proxy.landed[Fate.CUT_AFTER]

    async def run() -> None:
        async with system.rest() as rest:
            await prepare(rest, api)
            proxy.fate = fate
            answers = await under_load(rest, lambda: cuts() < wanted, api, other)
            proxy.fate = lambda: Fate.PASS
            await assert_nothing_doubled_or_lost(system, rest, api, answers)
            figure("lines cut in mid-append", cuts())
            figure("… of them after the commit", proxy.landed[Fate.CUT_AFTER])
            figure("payments answered while lines were cut", len(answers))
            figure("… slowest answer, s", rest.slowest_s)
            figure("… answers that were unknown (503)", sum(rest.troubles.values()))
            assert set(rest.troubles) <= {"store_unavailable"}

    asyncio.run(run())
    assert cuts() >= wanted
    assert proxy.landed[Fate.CUT_AFTER] * 3 >= cuts()


@pytest.mark.slow
def test_a_store_that_is_away_is_told_in_time_and_found_again(
    system: System, new_proxy: Callable[[str], Proxy], scaled: Scaled, figure: Figure
) -> None:
    """Every line cut, and no new one for longer than the product waits: 503, then as before.

    The first time it is away for as long as eight commands of each client wait.
    """
    proxy = new_proxy(system.store.app_dsn)
    api = system.api(dsn=proxy.dsn, TALLY_STORE_TIMEOUT_S="0.5")
    told_each = [8] + [1] * (scaled(20) - 1)

    async def run() -> None:
        async with system.rest() as rest:
            await prepare(rest, api)
            over = False
            load = asyncio.create_task(under_load(rest, lambda: not over, api))
            back_s: list[float] = []
            for times in told_each:
                await asyncio.sleep(0.2)
                told = rest.troubles["store_unavailable"] + times * CLIENTS
                proxy.down = True
                proxy.cut_all()
                await reached(lambda n=told: rest.troubles["store_unavailable"] >= n)
                proxy.down = False
                began, appends = time.monotonic(), proxy.appends
                await reached(lambda n=appends: proxy.appends > n)
                back_s.append(time.monotonic() - began)
            over = True
            answers = await load
            await assert_nothing_doubled_or_lost(system, rest, api, answers)
            figure("answers while the store was away (503)", sum(rest.troubles.values()))
            figure("… slowest answer, s", rest.slowest_s)
            figure("store back to first append, slowest, s", max(back_s))
            assert set(rest.troubles) == {"store_unavailable"}
            assert rest.slowest_s < 20

    asyncio.run(run())


@pytest.mark.slow
@pytest.mark.parametrize("fate", [Fate.HOLD_BEFORE, Fate.HOLD_AFTER], ids=["before", "after"])
def test_an_append_that_is_never_answered_is_given_up_in_time(
    system: System, new_proxy: Callable[[str], Proxy], figure: Figure, fate: Fate
) -> None:
    """The line stays open and says nothing: only a time limit of our own can end the wait."""
    proxy = new_proxy(system.store.app_dsn)
    api = system.api(dsn=proxy.dsn, TALLY_STORE_TIMEOUT_S="0.5")

    async def run() -> None:
        async with system.rest() as rest:
            await prepare(rest, api)
            proxy.once(fate)
            answers = await under_load(rest, lambda: False, api)
            assert proxy.held.is_set()
            await assert_nothing_doubled_or_lost(system, rest, api, answers)
            figure(f"slowest answer, an append held {fate.name[5:].lower()}, s", rest.slowest_s)
            assert rest.slowest_s < 20

    asyncio.run(run())


@pytest.mark.slow
def test_a_store_that_goes_silent_is_told_in_time(
    system: System, new_proxy: Callable[[str], Proxy], figure: Figure
) -> None:
    """Not a byte on any line, old or new, and none is closed: commands and reads get their 503."""
    proxy = new_proxy(system.store.app_dsn)
    api = system.api(dsn=proxy.dsn, TALLY_STORE_TIMEOUT_S="0.5")
    system.worker()

    async def run() -> None:
        async with system.rest() as rest:
            await prepare(rest, api)
            over = False
            load = asyncio.create_task(under_load(rest, lambda: not over, api))
            await asyncio.sleep(0.5)
            proxy.silent = True
            await reached(lambda: rest.troubles["store_unavailable"] >= 2 * CLIENTS)
            commands_s = rest.slowest_s
            read = await rest.send(api, "GET", "/v1/accounts/c1/balance")
            assert (read.status, read.body["code"]) == (503, "store_unavailable")
            proxy.silent = False
            over = True
            answers = await load
            await assert_nothing_doubled_or_lost(system, rest, api, answers)
            balances = {
                one["account"]: one["posted"] for one in await rest.all(api, "/v1/balances")
            }
            assert sum(balances.values()) == 2 * balances["cash"]
            figure("slowest command while the store was silent, s", commands_s)
            assert commands_s < 10
            assert rest.slowest_s < 20  # a read may take 15

    asyncio.run(run())


def test_a_line_cut_between_a_lost_race_and_the_writers_turn_is_one_more_try(
    fresh_store: Store, new_proxy: Callable[[str], Proxy]
) -> None:
    proxy = new_proxy(fresh_store.app_dsn)
    with a_ledger(fresh_store) as rival, a_ledger(replace(fresh_store, app_dsn=proxy.dsn)) as loser:
        insert, turn = loser.store.insert_events, loser.store.turn
        beats, cuts = iter([True]), iter([True])

        def beaten(*args: Any, **where: Any) -> Any:
            if next(beats, False):
                rival.commit(rival.decide([opened("theirs", "alice")]))
            return insert(*args, **where)

        def cut_off() -> Any:
            if next(cuts, False):
                proxy.cut_all()
                time.sleep(0.1)
            return turn()

        loser.store.insert_events = beaten  # type: ignore[method-assign]
        loser.store.turn = cut_off  # type: ignore[method-assign]
        with a_writer(loser) as writer:
            assert writer.submit(opened("mine", "bob")).result(30).position == 4
