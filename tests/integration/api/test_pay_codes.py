"""A payer shows a code, a cashier takes it: once, in time; what fails is told alike."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures.fix_api import Api


def issue(api: Api, **members: Any) -> dict[str, Any]:
    given = {"debit_account": "alice", "currency": "EUR", "max_amount": 500, **members}
    answer = api.post("/v1/pay-codes", given)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def by_code(code: str, amount: int = 100, credit: str = "bob", **members: Any) -> dict[str, Any]:
    posting = {"credit": credit, "amount": amount, "currency": "EUR"}
    return {"pay_code": code, "carrier": "qr", "postings": [posting], **members}


@pytest.fixture
def till(api: Api) -> Api:
    """Alice has 1000, Bob is to be paid."""
    api.open("cash", overdraft_limit=None)
    api.open("alice", "bob")
    assert api.pay("cash", "alice", 1000).status_code == 201
    return api


def test_a_code_is_used_once(till: Api) -> None:
    made = issue(till)
    assert len(made["code"]) == 24
    assert (made["state"], made["payment_id"]) == ("live", None)
    paid = till.post("/v1/payments", by_code(made["code"]))
    assert paid.status_code == 201, paid.text
    assert paid.json()["state"] == "settled"
    assert paid.json()["postings"][0]["debit"] == "alice"
    assert [one["posted"] for one in paid.json()["balances"]] == [900, 100]
    again = till.post("/v1/payments", by_code(made["code"]))
    assert (again.status_code, again.json()["code"]) == (422, "pay_code_invalid")
    read = till.get(f"/v1/pay-codes/{made['id']}", min_position=again.json()["position"])
    assert read.json() == {
        **{name: value for name, value in made.items() if name != "code"},
        "state": "used",
        "payment_id": paid.json()["id"],
        "position": paid.json()["position"],
    }
    refused = till.get(f"/v1/payments/{again.json()['payment_id']}").json()
    assert refused["postings"][0]["debit"] is None
