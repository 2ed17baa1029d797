"""A million accounts, all in the cache, and ten million events, beside ten thousand and none: by
turns on one machine, the write path alone."""

from __future__ import annotations

import asyncio
import secrets
import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Final

import pytest

from api.bench.filling import commands
from api.bench.jobs import Crew, Job
from api.bench.measuring import loaded
from api.bench.own import OwnLedger, Running, own_ledger
from api.cli.client import connected
from infrastructure.embedded import DATABASE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

LINES: Final = 1_000
PREFIX: Final = "bench:"
ROUNDS: Final = 5
SECONDS: Final = 2.0
FEW: Final = 10_000


def test_with_many_accounts_and_events(
    scaled: Callable[..., int], figure: Callable[[str, object], None]
) -> None:
    many = scaled(1_000_000, least=FEW) // 2 * 2
    with own_ledger() as own, ExitStack() as stack:
        empty = own.database(like=DATABASE)
        fill(own, empty, accounts=FEW, payments=0)
        fill(own, DATABASE, accounts=many, payments=scaled(2_500_000))
        large = stack.enter_context(
            own.running(
                own.dsn(DATABASE), workers=False, settings={"TALLY_CACHE_ACCOUNTS": str(many)}
            )
        )
        figure("memory of the writer with no account cached, MB", memory_mb(large))
        figure("payments/s, none cached", round(rate(large, many)))
        asyncio.run(paid(large, many))
        figure(f"memory of the writer with {many:,} accounts cached, MB", memory_mb(large))
        small = stack.enter_context(own.running(own.dsn(empty), workers=False))
        rate(small, FEW)
        rounds = [(rate(small, FEW), rate(large, many)) for _ in range(ROUNDS)]
    figure(f"payments/s with {FEW:,} accounts", round(statistics.median(few for few, _ in rounds)))
    figure(f"payments/s with {many:,}", round(statistics.median(much for _, much in rounds)))
    figure("the latter of the former", round(statistics.median(b / a for a, b in rounds), 2))


def fill(own: OwnLedger, database: str, *, accounts: int, payments: int) -> None:
    filling = commands(ledger=own.ledger, prefix=PREFIX, accounts=accounts, payments=payments)
    for _ in own.filled(database, filling, accounts=accounts + 1):
        pass


def memory_mb(running: Running) -> int:
    return round(running.processes.memory_mb()["writer"])


def rate(running: Running, accounts: int) -> float:
    """Single payments a second between random accounts, by 64 connections."""
    job = Job(
        url=running.product.url,
        key=running.product.key,
        run=secrets.token_hex(6),
        prefix=PREFIX,
        accounts=accounts,
        crews=[Crew(does="spread", connections=64)],
        warm_s=0.3,
        seconds=SECONDS,
    )
    (crew,) = loaded(job, running.processes).crews
    assert set(crew.answers) == {"201"}
    return crew.rate


async def paid(running: Running, accounts: int) -> None:
    """Each account once, which brings it into the cache."""
    async with connected(running.product) as client:
        for first in range(0, accounts, 2 * LINES):
            numbers = range(first, min(first + 2 * LINES, accounts), 2)
            async for reply in client.send_lines("/v1/payments/bulk", lines(numbers)):
                assert reply.status == 201


def lines(numbers: range) -> Iterator[bytes]:
    for number in numbers:
        yield (
            f'{{"idempotency_key":"{secrets.token_hex(8)}","postings":[{{"debit":"{PREFIX}{number}"'
            f',"credit":"{PREFIX}{number + 1}","amount":1,"currency":"EUR"}}]}}'
        ).encode()
