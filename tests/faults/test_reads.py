"""Read your writes: while a worker stands still nobody is shown what was, as if it were now."""

import asyncio
from collections import Counter

import pytest

from tests.fixtures.fix_processes import Figure, Rest, Scaled, System, pause, resume

CLIENTS = 16


@pytest.mark.slow
def test_a_read_at_a_position_is_never_of_before_it(
    system: System, scaled: Scaled, figure: Figure
) -> None:
    """Pairs of a payment and a read at its position, while the worker is paused and resumed."""
    pairs = scaled(10_000)
    api, other = system.api(), system.api()
    worker = system.worker()
    seen: Counter[str] = Counter()
    answered = asyncio.Event()

    async def client(rest: Rest, number: int, numbers: range) -> None:
        own, expected = f"c{number}", 0
        for count in numbers:
            paid = await rest.pay(api, "cash", own, count % 7 + 1)
            expected += count % 7 + 1
            at = paid.position
            path, show = (
                (f"/v1/accounts/{own}/balance?min_position={at}", "posted"),
                (
                    f"/v1/accounts/{own}/statement?from=2000-01-01&to=2999-01-01"
                    f"&limit=1&min_position={at}",
                    "closing_balance",
                ),
            )[count % 2]
            reader = (api, other)[count // 2 % 2]
            read = await rest.send(reader, "GET", path, Prefer=f"wait={count % 3 // 2}")
            if read.status == 200:
                # This client alone pays into the account: any other sum is an old one.
                assert read.body[show] == expected
                assert read.position >= at
                seen["new balance"] += 1
            else:
                assert (read.status, read.body["code"]) == (503, "not_caught_up")
                assert read.body["min_position"] == at > read.position
                seen["not caught up"] += 1
            answered.set()

    async def some_more(answer: str) -> None:
        wanted = seen[answer] + pairs // 10
        while seen[answer] < wanted:
            answered.clear()
            await answered.wait()

    async def stop_and_go() -> None:
        while True:
            pause(worker)
            await some_more("not caught up")
            resume(worker)
            await some_more("new balance")

    async def run() -> None:
        async with system.rest() as rest:
            await rest.open(api, "cash", normal_side="debit", overdraft_limit=None)
            await rest.open(api, *(f"c{number}" for number in range(CLIENTS)))
            toggling = asyncio.create_task(stop_and_go())
            try:
                await asyncio.gather(
                    *(client(rest, n, range(n, pairs, CLIENTS)) for n in range(CLIENTS))
                )
            finally:
                toggling.cancel()
                resume(worker)
            assert not rest.troubles

    asyncio.run(run())
    assert seen.total() == pairs
    assert min(seen["new balance"], seen["not caught up"]) > pairs // 20, seen
    figure("pairs of a payment and a read at its position", pairs)
    for what, count in seen.items():
        figure(f"… answered: {what}", count)
