"""Payment requests through two API processes: paid once, and as the payer was shown them."""

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from tests.faults.test_races import a_town, balance, outcomes, race
from tests.fixtures.fix_processes import Api, Figure, Reply, Rest, Scaled, System

PAYERS = 100
AT_ONCE = 8
"""Requests raced for at the same time."""

pytestmark = pytest.mark.slow


async def opened(rest: Rest, api: Api, amount: int) -> str:
    body = {"credit_account": "bob", "amount": amount, "currency": "EUR"}
    reply = await rest.decided(api, "/v1/payment-requests", body)
    assert reply.status == 201, reply
    return str(reply.body["id"])


async def pay(rest: Rest, api: Api, request: str, revision: int = 1) -> Reply:
    body = {"debit_account": "alice", "revision": revision}
    return await rest.decided(api, f"/v1/payment-requests/{request}/pay", body)


def test_a_request_that_a_hundred_pay_at_once_is_paid_once(system: System, figure: Figure) -> None:
    async def run() -> None:
        async with a_town(system) as (rest, apis):
            worker = system.worker()
            request = await opened(rest, apis[0], 10)
            replies = await race(apis, PAYERS, lambda api, _: pay(rest, api, request))
            assert outcomes(replies) == {None: 1, "request_paid": PAYERS - 1}
            (won,) = [reply for reply in replies if reply.status == 201]
            assert (await balance(rest, apis[1], "bob"))["posted"] == 10
            path = f"/v1/payment-requests/{request}"
            read = await rest.send(apis[1], "GET", path, Prefer="wait=30")
            assert (read.body["state"], read.body["payment_id"]) == ("paid", won.body["id"])
            assert worker.running
            figure("payers of one request", len(replies))

    asyncio.run(run())


def test_what_is_paid_is_the_revision_that_the_payer_named_or_nothing(
    system: System, scaled: Scaled, figure: Figure
) -> None:
    """While one pays what was shown, the shop raises the price or takes the order back."""
    races = scaled(1_000, least=50)

    async def run() -> None:
        async with a_town(system) as (rest, apis):
            assert (await rest.pay(apis[0], "cash", "alice", 10**6)).status == 201
            chance, came_to = random.Random(7), Counter[Any]()

            async def one(number: int) -> int:
                request = await opened(rest, apis[number % 2], 3)
                path = f"/v1/payment-requests/{request}"
                delays = [chance.random() * 0.01 for _ in range(2)]

                async def edit() -> Reply:
                    await asyncio.sleep(delays[0])
                    if number % 4 == 3:
                        return await rest.decided(apis[1], f"{path}/cancel", {})
                    return await rest.send(apis[1], "PATCH", path, {"amount": 5})

                async def buy() -> Reply:
                    await asyncio.sleep(delays[1])
                    return await pay(rest, apis[0], request)

                edited, paid = await asyncio.gather(edit(), buy())
                came_to[edited.body.get("code"), paid.body.get("code")] += 1
                if paid.status == 422:
                    # Nothing: the shop came first.
                    assert edited.status == 200
                    code = "request_canceled" if number % 4 == 3 else "revision_changed"
                    assert paid.body["code"] == code
                    assert paid.body.get("revision") == (None if number % 4 == 3 else 2)
                    assert "payment_id" not in paid.body
                    return 0
                assert (paid.status, edited.status) == (201, 422), (paid, edited)
                assert edited.body["code"] == "request_paid"
                (posting,) = paid.body["postings"]
                assert posting["amount"] == 3
                return int(posting["amount"])

            moved = 0
            for first in range(0, races, AT_ONCE):
                few = range(first, min(first + AT_ONCE, races))
                moved += sum(await asyncio.gather(*map(one, few)))
            assert len(came_to) == 3, came_to  # both were first, each now and then
            worker = system.worker()
            assert (await balance(rest, apis[1], "bob"))["posted"] == moved
            assert worker.running
            figure("requests edited while they are paid", races)
            figure("… of them paid", moved // 3)

    asyncio.run(run())
