"""A page touches what it shows, however much there is that it doesn't."""

from __future__ import annotations

from typing import Any

import pytest

from projections.payments.queries import payments
from projections.payments.requests_queries import requests
from projections.reading import View
from tests.fixtures.fix_events import History
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_projections import Counting, catch_up, viewing

LIMIT = 5
DUE = 3
"""What is past its deadline without that being recorded yet: looked at in each page of its kind."""


def touched(store: Store, history: History, page_of: Any, given: dict[str, str]) -> int:
    history.store(store.app_dsn)
    catch_up(store.app_dsn, ["payments"])

    async def look(view: View) -> int:
        counted: Any = Counting(view)
        page = await page_of(counted, now=history.now, limit=LIMIT, **given)
        assert len(page.items) == LIMIT
        return int(counted.touched)

    return viewing(store.app_dsn, "payments", look)


@pytest.mark.parametrize(
    "given",
    [
        *({}, {"credit_account": "alice"}),
        *({"state": state} for state in ("open", "expired", "canceled", "paid")),
    ],
    ids=str,
)
def test_of_payment_requests(fresh_store: Store, given: dict[str, str]) -> None:
    history = History().open("alice", "bob", "shop")
    for _ in range(DUE):
        history.request("alice", 5, expires_in_s=60)
    for _ in range(LIMIT + 1):
        expired = history.request("alice", 5, expires_in_s=60)
        history.later(seconds=61).expire_request(expired)
        history.cancel_request(history.request("alice", 5))
        history.pay_request(history.request("alice", 5), "bob")
        for _ in range(50):
            history.request("shop", 5, expires_in_s=86_400)
    assert touched(fresh_store, history, requests, given) <= 2 * (LIMIT + 1) + DUE


@pytest.mark.parametrize("given", [{}, {"account": "alice"}], ids=str)
def test_of_holds_that_expired(fresh_store: Store, given: dict[str, str]) -> None:
    history = History().open("alice", "bob", "shop")
    for _ in range(DUE):
        history.hold(("alice", "bob", 1), hold_timeout_s=60)
    for _ in range(LIMIT + 1):
        expired = history.hold(("alice", "bob", 1), hold_timeout_s=60)
        history.later(seconds=61).expire(expired)
    for _ in range(300):
        history.hold(("shop", "bob", 1), hold_timeout_s=86_400)
    asked = {"state": "expired", **given}
    assert touched(fresh_store, history, payments, asked) <= 2 * (LIMIT + 1) + 2 * DUE
