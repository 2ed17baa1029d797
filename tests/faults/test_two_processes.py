"""Two API processes on one store: what each decides holds for both, and for every twin."""

import asyncio
import random
from collections.abc import Callable

import pytest

from tests.fixtures.fix_ledger import told
from tests.fixtures.fix_processes import Figure, Reply, Scaled, System, reached
from tests.fixtures.fix_proxy import Fate, Proxy
from tests.property.model import Model

CLIENTS = 64


@pytest.mark.slow
def test_clients_who_race_to_drain_an_account_get_exactly_what_it_held(
    system: System, scaled: Scaled, figure: Figure
) -> None:
    """Each sends every payment twice, once to either process and at the same time."""
    each = scaled(100, least=5)
    held = CLIENTS * each * 25  # half of what they ask for
    apis = system.api(), system.api()
    assert apis[0].process.pid != apis[1].process.pid

    async def run() -> None:
        async with system.rest() as rest:
            await rest.open(apis[0], "cash", normal_side="debit", overdraft_limit=None)
            await rest.open(apis[1], "pot", "sink")
            assert (await rest.pay(apis[0], "cash", "pot", held)).status == 201

            async def client(number: int) -> list[tuple[Reply, Reply]]:
                chance, got = random.Random(number), []
                for count in range(each):
                    amount, key = chance.randint(1, 99), f"{number}-{count}"
                    twins = await asyncio.gather(
                        *(rest.pay(api, "pot", "sink", amount, key) for api in apis)
                    )
                    got.append((twins[0], twins[1]))
                return got

            answers = await asyncio.gather(*(client(number) for number in range(CLIENTS)))
            # What is left goes cent by cent: the last one finds nothing.
            rest_of_it: list[Reply] = []
            while not rest_of_it or rest_of_it[-1].status == 201:
                left = await rest.pay(apis[len(rest_of_it) % 2], "pot", "sink", 1)
                rest_of_it.append(left)

            twins = [pair for each_client in answers for pair in each_client]
            for one, other in twins:
                assert one.outcome == other.outcome
                assert one.replayed != other.replayed
                assert one.status == 201 or one.body["code"] == "insufficient_funds"
            accepted = [one for one, _ in twins if one.status == 201] + rest_of_it[:-1]
            assert sum(one.body["postings"][0]["amount"] for one in accepted) == held
            assert len({one.body["id"] for one in accepted}) == len(accepted)
            settled = "SELECT count(*) FROM tally.events WHERE type = 'tally.payment.settled.v1'"
            assert system.rows(settled) == [(len(accepted) + 1,)]
            assert not rest.troubles
            figure("payments sent twice to drain an account", len(twins))
            figure("… of them accepted", sum(one.status == 201 for one, _ in twins))

    asyncio.run(run())
    system.assert_positions_have_no_gap()


@pytest.mark.slow
def test_refusals_of_one_process_agree_with_credits_of_the_other(
    system: System, scaled: Scaled, figure: Figure
) -> None:
    """Every answer is what the model says, given all commands in the order of their positions."""
    wanted = scaled(200, least=50)
    payer, other = system.api(), system.api()

    async def run() -> None:
        async with system.rest() as rest:
            model = Model()
            for name, side, overdraft in (("cash", "debit", None), ("pot", "credit", 0)):
                await rest.open(payer, name, normal_side=side, overdraft_limit=overdraft)
                model.send(f"open-{name}", ("open", name, "EUR", side, overdraft, None))
            answers: list[tuple[Reply, tuple[str, str, int, str]]] = []
            refused = 0

            async def draws(number: int) -> None:
                nonlocal refused
                chance = random.Random(number)
                while refused < wanted:
                    posting = ("pot", "cash", chance.randint(1, 100), "EUR")
                    reply = await rest.pay(payer, *posting[:3])
                    refused += reply.status == 422
                    answers.append((reply, posting))

            async def pays_in(number: int) -> None:
                chance = random.Random(number)
                while refused < wanted:
                    posting = ("cash", "pot", chance.randint(1, 70), "EUR")
                    answers.append((await rest.pay(other, *posting[:3]), posting))

            await asyncio.gather(
                *(draws(number) for number in range(8)), *(pays_in(-number) for number in range(8))
            )
            for reply, posting in sorted(answers, key=lambda answer: answer[0].position):
                expected = model.send(str(reply.position), ("pay", (posting,), {}))
                assert outcome(reply) == expected, (reply, posting)
            assert not rest.troubles
            figure("answers of two processes, as the model has them", len(answers))
            figure("… of them refusals", refused)

    asyncio.run(run())
    system.assert_positions_have_no_gap()


def outcome(reply: Reply) -> tuple[str, object]:
    """As the model tells it."""
    return ("refused", reply.body["code"]) if reply.status == 422 else ("ok", told(reply.body))


@pytest.mark.slow
def test_what_waits_for_a_slow_append_goes_in_the_next_one(
    system: System, new_proxy: Callable[[str], Proxy], figure: Figure
) -> None:
    proxy = new_proxy(system.store.app_dsn)
    api = system.api(dsn=proxy.dsn)

    async def run() -> None:
        async with system.rest() as rest:
            await rest.open(api, "cash", normal_side="debit", overdraft_limit=None)
            await rest.open(api, "alice")
            proxy.delay_s = 0.05
            proxy.once(Fate.HOLD_BEFORE)
            first = asyncio.create_task(rest.pay(api, "cash", "alice", 1))
            await reached(proxy.held.is_set)
            waiting = [
                asyncio.create_task(rest.pay(api, "cash", "alice", 1)) for _ in range(CLIENTS)
            ]
            await rest.queued(api, CLIENTS)
            appends = proxy.appends
            proxy.release()
            replies = await asyncio.gather(first, *waiting)
            assert all(reply.status == 201 for reply in replies)
            figure("appends for 64 payments that wait", proxy.appends - appends)
            assert proxy.appends - appends <= 3

    asyncio.run(run())
