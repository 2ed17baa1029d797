"""What a payment takes of the API process by the short way and by the long one, side by side."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable

import pytest

from api.bench.cpu import used_s
from tests.fixtures.fix_api import one_posting
from tests.fixtures.fix_processes import System

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROUNDS = 3
AT_ONCE = 64
WAYS = {"short way": "/v1/payments", "long way": "/v1/payments?dry_run=false"}
"""A query that says nothing makes it long."""


def test_both_ways(
    system: System, scaled: Callable[..., int], figure: Callable[[str, object], None]
) -> None:
    count = scaled(4_000, least=200)
    api = system.api()
    taken: dict[str, list[float]] = {way: [] for way in WAYS}

    async def run() -> None:
        async with system.rest() as rest:
            await rest.open(api, "cash", normal_side="debit", overdraft_limit=None)
            await rest.open(api, "bob")

            async def pay(path: str, times: int) -> None:
                for _ in range(times):
                    reply = await rest.send(api, "POST", path, one_posting("cash", "bob", 1))
                    assert reply.status == 201

            for _ in range(ROUNDS):
                for way, path in WAYS.items():
                    before = used_s(api.process.pid)
                    await asyncio.gather(*(pay(path, count // AT_ONCE) for _ in range(AT_ONCE)))
                    took_s = used_s(api.process.pid) - before
                    taken[way].append(took_s / (count // AT_ONCE * AT_ONCE) * 1e6)

    asyncio.run(run())
    for way, each in taken.items():
        figure(f"µs of a processor a payment, {way}", round(statistics.median(each)))
