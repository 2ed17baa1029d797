"""Payments by the line: what they come to in order, and all or none when the process is killed."""

import asyncio
import json
import random
import time
from collections import Counter
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

from tests.fixtures.fix_processes import Figure, Scaled, System, reached

PEOPLE = 10
LINES = 1_000
"""Of a bulk that is killed."""

pytestmark = pytest.mark.slow


def mixed_lines(count: int, town: str, chance: random.Random) -> list[dict[str, Any] | str]:
    """Payments, holds and amounts to be found, some with too little, some of nobody's account, some
    under a key that was used, some that are no request at all."""
    lines: list[dict[str, Any] | str] = []
    for number in range(count):
        debit, credit = chance.sample(range(PEOPLE), 2)
        amount: Any = chance.choice((1, 5, 20, "all", {"up_to": 7}, 0, "1"))
        posting = {"debit": f"{town}:{debit}", "credit": f"{town}:{credit}", "amount": amount}
        line: dict[str, Any] = {
            "idempotency_key": f"{town}-{chance.choice((number, number, number, number // 2))}",
            "postings": [{**posting, "currency": chance.choice(("EUR",) * 9 + ("USD",))}],
        }
        match chance.randrange(20):
            case 0:
                lines.append("{")
                continue
            case 1:
                del line["idempotency_key"]
            case 2:
                line["postings"][0]["credit"] = f"{town}:nobody"
            case 3 | 4 | 5:
                line |= {"mode": "hold", "hold_timeout_s": 3600}
        lines.append(line)
    return lines


def told(answer: dict[str, Any], town: str) -> Any:
    """An outcome without what belongs to one request: ids, times, positions, the town."""
    if "state" not in answer:
        kept = {name: answer.get(name) for name in ("status", "code", "account", "index", "errors")}
    else:
        kept = {name: answer[name] for name in ("status", "state", "postings", "balances")}
    return json.loads(json.dumps(kept).replace(f"{town}:", "town:"))


def test_lines_come_to_what_they_do_when_sent_singly_in_order(
    system: System, scaled: Scaled, figure: Figure
) -> None:
    count = scaled(10_000)
    api = system.api()

    async def run() -> Counter[Any]:
        async with system.rest() as rest:
            for town in ("bulk", "single"):
                people = [f"{town}:{number}" for number in range(PEOPLE)]
                await rest.open(api, f"{town}:cash", normal_side="debit", overdraft_limit=None)
                await rest.open(api, *people, max_balance=300)
                for one in people:
                    assert (await rest.pay(api, f"{town}:cash", one, 100)).status == 201
            status, answers = await rest.bulk(api, mixed_lines(count, "bulk", random.Random(5)))
            assert status == 200
            singles: list[dict[str, Any]] = []
            for line in mixed_lines(count, "single", random.Random(5)):
                if isinstance(line, str) or "idempotency_key" not in line:
                    singles.append({})
                    continue
                body = {name: value for name, value in line.items() if name != "idempotency_key"}
                key = line["idempotency_key"]
                reply = await rest.send(api, "POST", "/v1/payments", body, key=key)
                singles.append({**reply.body, "status": reply.status, "replayed": reply.replayed})
            for answer, single in zip(answers, singles, strict=True):
                if single:
                    assert told(answer, "bulk") == told(single, "single")
                    assert answer["replayed"] == single["replayed"]
                else:
                    assert answer["status"] == 400
            return Counter(one.get("code", one.get("state")) for one in answers)

    outcomes = asyncio.run(run())
    assert outcomes >= Counter(
        dict.fromkeys(
            (
                *("settled", "held", "insufficient_funds", "max_balance_exceeded"),
                *("nothing_available", "account_unknown", "currency_mismatch"),
                *("idempotency_key_reused", "idempotency_key_missing", "invalid_request"),
            ),
            1,
        )
    ), outcomes
    figure("lines of a bulk that came to what they do singly", count)


def test_a_process_killed_in_the_midst_of_an_atomic_bulk_has_made_all_of_it_or_nothing(
    system: System, scaled: Scaled, figure: Figure
) -> None:
    kills = scaled(50, least=4)
    chance = random.Random(11)
    api = system.api()

    def lines(number: int) -> list[dict[str, Any]]:
        posting = {"debit": "cash", "credit": "bob", "amount": 1, "currency": "EUR"}
        return [
            {"idempotency_key": f"{number}-{line}", "postings": [posting]} for line in range(LINES)
        ]

    def made() -> int:
        query = "SELECT count(*) FROM tally.events WHERE type = 'tally.payment.settled.v1'"
        ((count,),) = system.rows(query)
        return int(count)

    def appending() -> list[Any]:
        return system.rows(
            "SELECT FROM pg_stat_activity WHERE datname = current_database()"
            " AND state = 'active' AND query LIKE %s",
            "SELECT tally.append(%",
        )

    async def run() -> Counter[str]:
        async with system.rest() as rest:
            await rest.open(api, "cash", normal_side="debit", overdraft_limit=None)
            await rest.open(api, "bob")
            began = time.monotonic()
            assert (await rest.bulk(api, lines(0), query="?atomic=true"))[0] == 200
            takes_s = time.monotonic() - began
            found: Counter[str] = Counter()
            for number in range(1, kills + 1):
                sending = asyncio.create_task(rest.bulk(api, lines(number), query="?atomic=true"))
                # The first before anything can have been appended, the others anywhere.
                await asyncio.sleep((chance.uniform(0.1, 1.0) if number > 1 else 0.05) * takes_s)
                api.process.kill()
                with suppress(aiohttp.ClientError, OSError):
                    await sending
                    found["after its answer"] += 1
                await reached(lambda: not appending())  # the store ends what the killed one began
                all_before = made()
                assert all_before in (number * LINES, (number + 1) * LINES)
                found[
                    "with nothing of it" if all_before == number * LINES else "with all of it"
                ] += 1
                api.start()
                with suppress(aiohttp.ClientError, OSError):  # a connection of the process before
                    await rest.send(api, "GET", "/livez")
                status, answers = await rest.bulk(api, lines(number), query="?atomic=true")
                assert (status, len(answers)) == (200, LINES)
                assert {answer["status"] for answer in answers} == {201}
                was_made = all_before == (number + 1) * LINES
                assert {answer["replayed"] for answer in answers} == {was_made}
                assert made() == (number + 1) * LINES
            return found

    found = asyncio.run(run())
    assert found["with nothing of it"], found
    figure("kill -9 in the midst of an atomic bulk", kills)
    for where, count in found.items():
        figure(f"… {where}", count)
    system.assert_positions_have_no_gap()
