"""Who guesses codes gets so many tries a minute, whichever process and account he tries."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from domain.code_digits import with_check_digit
from tests.fixtures.fix_api import Api, an_api, make_key
from tests.fixtures.fix_postgres import Cluster
from tests.fixtures.fix_steps import Clock
from tests.fixtures.fix_tills import Till, by_code, told


@pytest.fixture
def mall(cluster: Cluster, clock: Clock) -> Iterator[Api]:
    with cluster.store() as store, an_api(store, clock=clock) as api:
        api.open("cash", overdraft_limit=None)
        yield api


def guess() -> str:
    """A code that could be one."""
    return with_check_digit(f"9700{secrets.randbelow(10**19):019}")


def as_another(api: Api, name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {make_key(api.store, 'client', name)}"}


def test_a_shop_has_ten_tries_a_minute(mall: Api, clock: Clock) -> None:
    till = Till.made(mall)
    code = till.issue()["code"]
    assert [told(till.pay(guess())) for _ in range(10)] == [(422, "pay_code_invalid")] * 10
    refused = till.pay(guess(), key=f"late-{till.shop}")
    assert told(refused) == (429, "too_many_attempts")
    assert refused.headers["Retry-After"] == "60"
    # Past it a live code isn't looked at either, for nobody who pays this shop ...
    other = as_another(mall, "another-shop")
    for headers in (None, other):
        answer = mall.post("/v1/payments", by_code(code, till.shop), headers=headers)
        assert told(answer) == (429, "too_many_attempts")
    # ... but for others, and when the minute is over. The key of what was not decided is unused.
    elsewhere = Till.made(mall)
    assert told(elsewhere.pay(elsewhere.issue()["code"])) == (201, "settled")
    clock.later(seconds=59)
    assert till.pay(code).headers["Retry-After"] == "1"
    clock.later(seconds=1)
    again = till.issue()["code"]
    assert told(till.pay(again, key=f"late-{till.shop}")) == (201, "settled")


def test_tries_are_counted_in_dry_runs_and_bulks_and_a_replay_is_none(mall: Api) -> None:
    till = Till.made(mall)
    first = till.pay(guess(), key=f"once-{till.shop}")
    assert told(first) == (422, "pay_code_invalid")
    wrong = guess()
    for _ in range(3):
        again = till.pay(wrong, key=f"same-{till.shop}")
        assert told(again) == (422, "pay_code_invalid")
    for _ in range(4):
        dry = till.pay(guess(), dry_run="true", key=f"dry-{till.shop}")
        assert told(dry) == (422, "pay_code_invalid")
    lines = [
        {"idempotency_key": f"{till.shop}-{n}", **by_code(guess(), till.shop)} for n in range(9)
    ]
    body = "\n".join(map(json.dumps, lines)).encode()
    sent = {"Content-Type": "application/x-ndjson"}
    atomic = mall.send("POST", "/v1/payments/bulk?atomic=true", content=body, headers=sent)
    assert (atomic.status_code, atomic.json()["problem"]["code"]) == (409, "pay_code_invalid")
    answer = mall.send("POST", "/v1/payments/bulk", content=body, headers=sent)
    statuses = [json.loads(line)["status"] for line in answer.text.splitlines()]
    # Two, four and one before: three are left, of which the first line was tried already.
    assert statuses == [422] * 4 + [429] * 5
    assert told(till.pay(guess(), dry_run="true", key=None)) == (429, "too_many_attempts")


def test_a_code_that_was_issued_is_no_try(mall: Api, clock: Clock) -> None:
    till = Till.made(mall)
    phone, used = till.phone(), till.issue()["code"]
    till.pay(used)
    spent = phone.code(clock.now)
    till.pay(spent, 10)
    for _ in range(8):
        assert told(till.pay(used)) == told(till.pay(spent)) == (422, "pay_code_invalid")
    wrong_step = [told(till.pay(phone.code(clock.now, skew))) for skew in range(4, 14)]
    assert wrong_step == [(422, "pay_code_invalid")] * 10
    assert told(till.pay(phone.code(clock.now, 1))) == (429, "too_many_attempts")


def test_what_the_clock_forbids_is_told_first_and_is_no_try(mall: Api, clock: Clock) -> None:
    till = Till.made(mall)
    far = (clock.now + timedelta(days=367)).date().isoformat()

    def pay_far_ahead() -> tuple[int, str]:
        return told(mall.post("/v1/payments", by_code(guess(), till.shop, value_date=far)))

    assert [pay_far_ahead() for _ in range(11)] == [(400, "invalid_request")] * 11
    assert [told(till.pay(guess())) for _ in range(10)] == [(422, "pay_code_invalid")] * 10
    assert told(till.pay(guess())) == (429, "too_many_attempts")
    assert pay_far_ahead() == (400, "invalid_request")


def test_of_ten_thousand_wrong_codes_a_hundred_reach_a_decision(
    mall: Api,
    scaled: Callable[..., int],
    figure: Callable[[str, object], None],
    clock: Clock,
) -> None:
    """One caller, two processes at once, a shop of its own for each try, some of them dry runs."""
    tries = scaled(10_000, least=300)
    with an_api(mall.store, workers=False, sweeps=False, clock=clock) as other:
        keys = {"Authorization": f"Bearer {mall.keys['client']}"}

        def send(api: Api, first: int) -> Counter[Any]:
            lines = [
                {"idempotency_key": f"guess-{n}", **by_code(guess(), f"shop:{n}")}
                for n in range(first, first + 50)
            ]
            dry = "?dry_run=true" if first % 200 == 0 else ""
            answer = api.send(
                "POST",
                f"/v1/payments/bulk{dry}",
                role=None,
                content="\n".join(map(json.dumps, lines)).encode(),
                headers={**keys, "Content-Type": "application/x-ndjson"},
            )
            return Counter(json.loads(line)["code"] for line in answer.text.splitlines())

        with ThreadPoolExecutor(4) as pool:
            sent = [
                pool.submit(send, (mall, other)[first // 50 % 2], first)
                for first in range(0, tries, 50)
            ]
            outcomes: Counter[Any] = sum((one.result() for one in sent), Counter())
        assert outcomes == {"pay_code_invalid": 100, "too_many_attempts": tries - 100}
        till = Till.made(mall)
        issued = till.issue()["code"]
        assert told(till.pay(issued)) == (429, "too_many_attempts")
        another = as_another(mall, "an-honest-shop")
        paid = mall.post("/v1/payments", by_code(issued, till.shop), headers=another)
        assert told(paid) == (201, "settled")
    figure("wrong codes sent by one caller within a minute", tries)
    figure("of them, reached a decision", outcomes["pay_code_invalid"])
