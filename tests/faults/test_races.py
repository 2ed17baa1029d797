"""Races of clients through two API processes: what was there is given out exactly once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.fixtures.fix_processes import Api, Figure, Reply, Rest, System

RACERS = 200

pytestmark = pytest.mark.slow


@asynccontextmanager
async def a_town(system: System) -> AsyncIterator[tuple[Rest, Sequence[Api]]]:
    """Alice has 5,000 and no overdraft; two processes serve everybody."""
    apis = system.api(), system.api()
    async with system.rest() as rest:
        await rest.open(apis[0], "cash", normal_side="debit", overdraft_limit=None)
        await rest.open(apis[1], "alice", "bob")
        assert (await rest.pay(apis[0], "cash", "alice", 5_000)).status == 201
        yield rest, apis
        assert not rest.troubles
    system.assert_positions_have_no_gap()


async def race(
    apis: Sequence[Api], count: int, run: Callable[[Api, int], Awaitable[Reply]]
) -> list[Reply]:
    """All at once, every other one to either process."""
    return await asyncio.gather(*(run(apis[n % 2], n) for n in range(count)))


async def hold(rest: Rest, api: Api, amount: int) -> Reply:
    posting = {"debit": "alice", "credit": "bob", "amount": amount, "currency": "EUR"}
    return await rest.decided(api, "/v1/payments", {"postings": [posting], "mode": "hold"})


async def balance(rest: Rest, api: Api, account: str) -> dict[str, Any]:
    end = (await rest.send(api, "GET", "/v1/status")).body["end"]
    path = f"/v1/accounts/{account}/balance?min_position={end}"
    reply = await rest.send(api, "GET", path, Prefer="wait=30")
    assert reply.status == 200, reply
    return reply.body


def outcomes(replies: Sequence[Reply]) -> Counter[Any]:
    """How many were accepted, and how many refused for what."""
    return Counter(reply.body.get("code") for reply in replies)


def test_of_captures_and_voids_of_one_hold_one_is_what_becomes_of_it(
    system: System, figure: Figure
) -> None:
    async def run() -> None:
        async with a_town(system) as (rest, apis):
            worker = system.worker()
            held = (await hold(rest, apis[0], 1_000)).body["id"]

            async def end(api: Api, number: int) -> Reply:
                step = "capture" if number // 2 % 2 else "void"
                return await rest.decided(api, f"/v1/payments/{held}/{step}", {})

            replies = await race(apis, RACERS, end)
            assert outcomes(replies) == {None: 1, "payment_not_held": RACERS - 1}
            (won,) = [reply for reply in replies if reply.status == 200]
            moved = 1_000 if won.body["state"] == "settled" else 0
            alice = await balance(rest, apis[0], "alice")
            assert alice["posted"] == alice["available"] == 5_000 - moved
            assert alice["pending_debit"] == 0
            assert worker.running
            figure("captures and voids of one hold", len(replies))

    asyncio.run(run())


def test_refunds_of_one_payment_come_to_exactly_what_was_captured(
    system: System, figure: Figure
) -> None:
    async def run() -> None:
        async with a_town(system) as (rest, apis):
            worker = system.worker()
            held = (await hold(rest, apis[0], 3_000)).body["id"]
            captured = await rest.decided(
                apis[1], f"/v1/payments/{held}/capture", {"amount": 1_000}
            )
            assert captured.status == 200

            async def refund(api: Api, _: int) -> Reply:
                return await rest.decided(api, f"/v1/payments/{held}/refunds", {"amount": 10})

            replies = await race(apis, RACERS, refund)
            assert outcomes(replies) == {None: 100, "refund_exceeds_payment": RACERS - 100}
            refunded = [
                reply.body["postings"][0]["amount"] for reply in replies if reply.status == 201
            ]
            assert sum(refunded) == 1_000
            assert (await balance(rest, apis[1], "alice"))["posted"] == 5_000
            assert (await balance(rest, apis[0], "bob"))["posted"] == 0
            assert worker.running
            figure("refunds of one payment", len(replies))

    asyncio.run(run())


@pytest.mark.parametrize("maximum", [{"max_count": 50}, {"max_amount": 500}], ids=str)
def test_payments_fill_a_velocity_limit_exactly(
    system: System, figure: Figure, maximum: dict[str, int]
) -> None:
    async def run() -> None:
        async with a_town(system) as (rest, apis):
            limited = await rest.send(
                apis[0],
                "PATCH",
                "/v1/accounts/alice",
                {"limits": [{"window": "day", **maximum}]},
                role="admin",
            )
            assert limited.status == 200, limited

            async def pay(api: Api, _: int) -> Reply:
                return await rest.pay(api, "alice", "bob", 10)

            replies = await race(apis, RACERS, pay)
            assert outcomes(replies) == {None: 50, "limit_exceeded": RACERS - 50}
            figure("payments against a velocity limit", len(replies))

    asyncio.run(run())


def test_of_six_holds_on_what_is_enough_for_five_five_are_accepted(
    system: System, figure: Figure
) -> None:
    async def run() -> None:
        async with a_town(system) as (rest, apis):
            replies = await race(apis, 6, lambda api, _: hold(rest, api, 1_000))
            assert outcomes(replies) == {None: 5, "insufficient_funds": 1}
            figure("holds of 1,000 on 5,000 accepted", outcomes(replies)[None])

    asyncio.run(run())


def test_a_pay_code_is_paid_once_by_a_hundred_cashiers(system: System, figure: Figure) -> None:
    async def run() -> None:
        async with a_town(system) as (rest, apis):
            worker = system.worker()
            terms = {"debit_account": "alice", "currency": "EUR", "max_amount": 1_000}
            code = (await rest.decided(apis[0], "/v1/pay-codes", terms)).body

            async def take(api: Api, number: int) -> Reply:
                posting = {"credit": "bob", "amount": number + 1, "currency": "EUR"}
                body = {"pay_code": code["code"], "postings": [posting]}
                return await rest.decided(api, "/v1/payments", body)

            replies = await race(apis, 100, take)
            assert outcomes(replies) == {None: 1, "pay_code_invalid": 99}
            (won,) = [reply for reply in replies if reply.status == 201]
            alice = await balance(rest, apis[0], "alice")
            assert alice["posted"] == 5_000 - won.body["postings"][0]["amount"]
            read = await rest.send(apis[1], "GET", f"/v1/pay-codes/{code['id']}")
            assert (read.body["state"], read.body["payment_id"]) == ("used", won.body["id"])
            assert worker.running
            figure("cashiers at once with one code", len(replies))

    asyncio.run(run())
