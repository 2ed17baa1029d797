"""What came by which carrier, by booking date."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.fixtures.fix_api import Api, an_api, one_posting
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_steps import Clock
from tests.fixtures.fix_tills import Till


@pytest.fixture
def mall(fresh_store: Store, clock: Clock) -> Iterator[Api]:
    with an_api(fresh_store, clock=clock) as api:
        api.open("cash", overdraft_limit=None)
        yield api


def report(api: Api, first: Any, end: Any) -> list[tuple[Any, ...]]:
    at = api.get("/v1/status").json()["end"]
    asked = {"from": first, "to": end, "min_position": at}
    answer = api.get("/v1/reports/carriers", **asked)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Ledger-Position"] == str(answer.json()["position"])
    return [tuple(item.values()) for item in answer.json()["items"]]


def test_what_is_booked_counts_on_its_day_by_its_carrier(mall: Api, clock: Clock) -> None:
    today = clock.now.date()
    tomorrow, then = today + timedelta(days=1), today + timedelta(days=2)
    till = Till.made(mall)
    till.pay(till.issue()["code"], 70)
    till.pay(till.issue()["code"], 30)
    pending = till.pending(50)
    till.step(till.pending(40), "decline")
    held = {**one_posting(till.payer, till.shop, 100), "mode": "hold", "carrier": "nfc"}
    hold = mall.post("/v1/payments", held).json()["id"]
    till.step(hold, "capture")  # of nothing more than this: final
    assert report(mall, today, tomorrow) == [
        ("api", "EUR", 1, 1000),
        ("nfc", "EUR", 1, 100),
        ("qr", "EUR", 2, 100),
    ]
    other = mall.post("/v1/payments", held).json()["id"]
    mall.post(f"/v1/payments/{other}/capture", {"amount": 60, "final": False})
    till.step(pending, "confirm")
    clock.later(days=1)
    mall.post(f"/v1/payments/{other}/capture", {"amount": 40})
    mall.post(f"/v1/payments/{hold}/refunds", {"amount": 5})
    assert report(mall, today, tomorrow)[1:] == [("nfc", "EUR", 2, 160), ("qr", "EUR", 3, 150)]
    assert report(mall, tomorrow, then) == [("api", "EUR", 1, 5), ("nfc", "EUR", 0, 40)]
    assert report(mall, today, then)[1:] == [("nfc", "EUR", 2, 200), ("qr", "EUR", 3, 150)]
    assert report(mall, today, today) == []


def test_a_period_does_not_end_before_it_begins(mall: Api) -> None:
    answer = mall.get("/v1/reports/carriers?from=2026-11-24&to=2026-11-23")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["parameter"] == "from"
    assert mall.get("/v1/reports/carriers?from=2026-11-24").status_code == 400
