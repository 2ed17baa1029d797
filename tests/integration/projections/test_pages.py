"""A page touches what it shows, however much there is that it doesn't."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from projections.accounts.queries import accounts
from projections.payments.queries import payments
from projections.payments.requests_queries import requests
from projections.reading import View
from tests.fixtures.fix_events import START, History
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_projections import Counting, catch_up, viewing

LIMIT = 5
DUE = 3
"""What is past its deadline without that being recorded yet: looked at in each page of its kind."""


def touched(dsn: str, projection: str, page_of: Any, **given: Any) -> int:
    """Rows that the first page touches."""
    catch_up(dsn, [projection])

    async def look(view: View) -> int:
        counted: Any = Counting(view)
        page = await page_of(counted, limit=LIMIT, **given)
        assert len(page.items) == LIMIT
        return int(counted.touched)

    return viewing(dsn, projection, look)


@pytest.mark.parametrize("given", [{}, {"status": "frozen"}, {"currency": "USD"}, {"prefix": "z"}])
def test_of_accounts(fresh_store: Store, given: dict[str, str]) -> None:
    history = History().open(*(f"a{number}" for number in range(300)))
    history.open(*(f"z{number}" for number in range(LIMIT + 1)), currency="USD")
    for number in range(LIMIT + 1):
        history.freeze(f"z{number}")
    history.store(fresh_store.app_dsn)
    assert touched(fresh_store.app_dsn, "accounts", accounts, **given) <= 2 * (LIMIT + 1)


@pytest.mark.parametrize(
    "given",
    [
        *({}, {"account": "alice"}, {"reference": "rare"}),
        *({"state": state} for state in ("settled", "held", "voided", "expired")),
        *({"state": state} for state in ("scheduled", "canceled", "refused")),
        *({"created_from": START}, {"created_to": START + timedelta(hours=2)}),
    ],
    ids=str,
)
def test_of_payments(fresh_store: Store, given: dict[str, Any]) -> None:
    history = History().open("alice", "bob").open("poor", overdraft_limit=0)
    for _ in range(12):
        at = history.now + timedelta(days=9)
        expired = history.hold(("alice", "bob", 3), hold_timeout_s=3)
        history.later(seconds=9).expire(expired)
        history.void(history.hold(("alice", "bob", 3)))
        history.hold(("alice", "bob", 3))
        history.pay(("alice", "bob", 3), execute_at=at)
        history.cancel(history.pay(("alice", "bob", 3), execute_at=at))
        history.pay(("poor", "bob", 3))
        history.pay(("alice", "bob", 3), reference="rare")
        for _ in range(20):
            history.pay(("alice", "bob", 3))
    history.store(fresh_store.app_dsn)
    rows = touched(fresh_store.app_dsn, "payments", payments, now=history.now, **given)
    assert rows <= 2 * (LIMIT + 1)


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
    history.store(fresh_store.app_dsn)
    rows = touched(fresh_store.app_dsn, "payments", requests, now=history.now, **given)
    assert rows <= 2 * (LIMIT + 1) + DUE


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
    history.store(fresh_store.app_dsn)
    asked = {"state": "expired", "now": history.now, **given}
    rows = touched(fresh_store.app_dsn, "payments", payments, **asked)
    assert rows <= 2 * (LIMIT + 1) + 2 * DUE
