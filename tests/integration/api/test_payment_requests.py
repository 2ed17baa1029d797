"""Payment requests over the API: what each command comes to, and what reads show of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fixtures.fix_api import Api

pytestmark = pytest.mark.usefixtures("shared_api")


@pytest.fixture(scope="module")
def api(shared_api: Api) -> Api:
    shared_api.open("cash", normal_side="debit", overdraft_limit=None)
    shared_api.open("shop", "alice")
    assert shared_api.pay("cash", "alice", 10**6).status_code == 201
    return shared_api


def opened(api: Api, amount: int | None = 1050, **members: Any) -> dict[str, Any]:
    body = {"credit_account": "shop", "amount": amount, "currency": "EUR", **members}
    answer = api.post("/v1/payment-requests", body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def pay(api: Api, request: dict[str, Any], revision: int = 1, **members: Any) -> Any:
    body = {"debit_account": "alice", "revision": revision, **members}
    return api.post(f"/v1/payment-requests/{request['id']}/pay", body)


def got(api: Api, request: dict[str, Any], position: int | None = None) -> dict[str, Any]:
    at = {} if position is None else {"min_position": position}
    answer = api.get(f"/v1/payment-requests/{request['id']}", **at)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_request_is_opened_as_it_was_asked_for(api: Api) -> None:
    asked = {
        "credit_account": "shop",
        "amount": 1050,
        "currency": "EUR",
        "reference": "order-17",
        "description": "Tea",
        "expires_in_s": 60,
        "metadata": {"table": "4"},
    }
    answer = api.post("/v1/payment-requests", asked)
    assert answer.status_code == 201
    made = answer.json()
    assert {name: made[name] for name in asked} == asked
    assert (made["state"], made["revision"], made["payment_id"]) == ("open", 1, None)
    created = datetime.fromisoformat(made["created_at"])
    assert datetime.fromisoformat(made["expires_at"]) - created == timedelta(seconds=60)
    assert created <= datetime.now(UTC)
    assert made["url"].startswith(f"{api.url}/p/")
    assert got(api, made, made["position"]) == made


def test_it_is_paid_once(api: Api) -> None:
    request = opened(api, reference="r", metadata={"k": "v"})
    answer = pay(api, request)
    assert answer.status_code == 201, answer.text
    payment = answer.json()
    assert payment["payment_request"] == request["id"]
    told = ("state", "carrier", "reference", "metadata")
    assert [payment[name] for name in told] == ["settled", "qr", "r", {"k": "v"}]
    assert [posting["amount"] for posting in payment["postings"]] == [1050]
    paid = got(api, request, payment["position"])
    assert (paid["state"], paid["payment_id"]) == ("paid", payment["id"])
    assert paid["position"] == payment["position"]
    read = api.get(f"/v1/payments/{payment['id']}").json()
    assert read == {name: value for name, value in payment.items() if name != "balances"}
    again = pay(api, request)
    assert (again.status_code, again.json()["code"]) == (422, "request_paid")
    assert again.json()["payment_request"] == request["id"]
    assert "payment_id" not in again.json()
