"""What `serve` has in memory with a million accounts in its cache, each of them paid with."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator

import pytest

from api.bench.filling import commands
from api.bench.own import Running, own_ledger
from api.cli.client import connected
from infrastructure.embedded import DATABASE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

LINES = 1_000


def test_a_cache_full_of_accounts(
    scaled: Callable[..., int], figure: Callable[[str, object], None]
) -> None:
    accounts = scaled(1_000_000) // 2 * 2
    with own_ledger() as own:
        filling = commands(ledger=own.ledger, prefix="m:", accounts=accounts, payments=0)
        for _ in own.filled(DATABASE, filling, accounts=accounts + 1):
            pass
        settings = {"TALLY_CACHE_ACCOUNTS": str(accounts)}
        with own.running(own.dsn(DATABASE), workers=False, settings=settings) as running:
            before = running.processes.memory_mb()["serve"]
            asyncio.run(paid(running, accounts))
            after = running.processes.memory_mb()["serve"]
    figure("accounts in the cache", accounts)
    figure("memory of serve with none, MB", round(before))
    figure("memory of serve with all, MB", round(after))


async def paid(running: Running, accounts: int) -> None:
    """Each account once."""
    async with connected(running.product) as client:
        for first in range(0, accounts, 2 * LINES):
            numbers = range(first, min(first + 2 * LINES, accounts), 2)
            async for reply in client.send_lines("/v1/payments/bulk", lines(numbers)):
                assert reply.status == 201


def lines(numbers: range) -> Iterator[bytes]:
    for number in numbers:
        yield (
            f'{{"idempotency_key":"{secrets.token_hex(8)}","postings":[{{"debit":"m:{number}",'
            f'"credit":"m:{number + 1}","amount":1,"currency":"EUR"}}]}}'
        ).encode()
