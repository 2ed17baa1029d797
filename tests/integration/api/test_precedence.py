"""docs/money.md, step by step: when several errors would apply, which one is told. Row by row.

Each row has the fault of its name and every fault that comes after it in the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.fixtures.fix_api import Api

Posting = tuple[str, str, int, str]

FAULTS: list[tuple[str, int, dict[str, Any]]] = [
    # what is told, with which status, and what a request has that is at fault
    ("unauthenticated", 401, {"role": None}),
    ("forbidden", 403, {"role": "auditor"}),
    ("invalid_request", 400, {"unknown": True}),
    ("idempotency_key_missing", 400, {"key": None}),
    ("idempotency_key_reused", 422, {"key": "used"}),
    ("invalid_request", 400, {"value_date": "2020-01-01"}),
    ("invalid_request", 400, {"execute_at": "2020-01-01T00:00:00Z"}),
    ("same_account", 422, {"posting": ("closed", "closed", 10**6, "USD")}),
    ("account_unknown", 422, {"posting": ("nobody", "closed", 10**6, "USD")}),
    ("account_closed", 422, {"posting": ("closed", "frozen", 10**6, "USD")}),
    ("account_frozen", 422, {"posting": ("frozen", "nobody", 10**6, "USD")}),
    ("currency_mismatch", 422, {"posting": ("alice", "frozen", 10**6, "USD")}),
    ("condition_failed", 422, {"version": -1}),
    ("insufficient_funds", 422, {"posting": ("alice", "small", 10**6, "EUR")}),
    ("max_balance_exceeded", 422, {"posting": ("cash", "small", 10**6, "EUR")}),
    ("balance_overflow", 422, {"posting": ("spender", "brim", 10**6, "EUR")}),
    ("limit_exceeded", 422, {"posting": ("spender", "alice", 10**6, "EUR")}),
]


@pytest.fixture(scope="module")
def town(shared_api: Api) -> Api:
    api = shared_api
    api.open("cash", overdraft_limit=None)
    api.open("alice", "closed", "frozen", "brim")
    api.open("small", max_balance=10)
    api.open("spender", overdraft_limit=None)
    limits = [{"window": "day", "max_amount": 10}]
    api.send("PATCH", "/v1/accounts/spender", {"limits": limits}, role="admin")
    api.post("/v1/accounts/closed/close", {"reason": "test"}, role="admin")
    api.post("/v1/accounts/frozen/freeze", {"reason": "test"}, role="admin")
    largest = 2**53 - 1
    for _ in range(10):
        api.post(
            "/v1/payments",
            {"postings": [posting("cash", "brim", largest, "EUR")] * 100},
        )
    left = 2**63 - 1 - 1000 * largest
    while left > 0:
        amount = min(left, largest)
        assert api.post("/v1/payments", {"postings": [posting("cash", "brim", amount, "EUR")]})
        left -= amount
    # cash has gone down as brim went up; another unlimited account pays it back up a little
    api.open("vault", overdraft_limit=None)
    api.post("/v1/payments", {"postings": [posting("vault", "cash", largest, "EUR")]})
    used = api.post("/v1/payments", {"postings": [posting("cash", "alice", 5, "EUR")]}, key="used")
    assert used.status_code == 201
    return api


def posting(debit: str, credit: str, amount: int, currency: str) -> dict[str, Any]:
    return {"debit": debit, "credit": credit, "amount": amount, "currency": currency}


def request_with(faults: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A body and how it is sent; of two faults in one place the earlier one stands."""
    wrong: dict[str, Any] = {}
    for fault in reversed(faults):
        wrong |= fault
    body: dict[str, Any] = {
        "postings": [posting(*wrong.get("posting", ("cash", "alice", 1, "EUR")))]
    }
    for member in ("value_date", "execute_at"):
        if member in wrong:
            body[member] = wrong[member]
    if "version" in wrong:
        body["conditions"] = [{"account": "alice", "version": wrong["version"]}]
    if wrong.get("unknown"):
        body["colour"] = "red"
    return body, {"role": wrong.get("role", "client"), "key": wrong.get("key", "")}


@pytest.mark.parametrize("row", range(len(FAULTS)), ids=lambda row: f"{row}-{FAULTS[row][0]}")
def test_the_earliest_fault_of_the_table_is_told(town: Api, row: int) -> None:
    code, status, _ = FAULTS[row]
    body, sent = request_with([fault for _, _, fault in FAULTS[row:]])
    answer = town.post("/v1/payments", body, **sent)
    assert (answer.json()["code"], answer.status_code) == (code, status)


def test_without_a_fault_it_settles(town: Api) -> None:
    body, sent = request_with([])
    assert town.post("/v1/payments", body, **sent).status_code == 201


def test_postings_are_looked_at_in_order_the_debited_account_first(town: Api) -> None:
    answer = town.post(
        "/v1/payments",
        {
            "postings": [
                posting("cash", "alice", 1, "EUR"),
                posting("frozen", "closed", 1, "EUR"),
                posting("nobody", "alice", 1, "EUR"),
            ]
        },
    )
    problem = answer.json()
    assert (problem["code"], problem["account"], problem["index"]) == (
        "account_frozen",
        "frozen",
        1,
    )


Send = Callable[[Api], Any]


def close(
    api: Api, id: str = "nobody", body: Any = None, role: str | None = "admin", key: Any = ""
) -> Any:
    body = {"reason": "test"} if body is None else body
    return api.post(f"/v1/accounts/{id}/close", body, role=role, key=key)


ACCOUNT_ROWS: list[tuple[str, Send]] = [
    ("unauthenticated", lambda api: close(api, role=None, body={}, key=None)),
    ("forbidden", lambda api: close(api, role="client", body={}, key=None)),
    ("invalid_request", lambda api: close(api, body={}, key=None)),
    ("idempotency_key_missing", lambda api: close(api, key=None)),
    ("not_found", close),
    ("account_not_empty", lambda api: close(api, id="alice")),
]


@pytest.mark.parametrize(("code", "send"), ACCOUNT_ROWS, ids=[code for code, _ in ACCOUNT_ROWS])
def test_commands_on_accounts_have_the_same_order(town: Api, code: str, send: Send) -> None:
    assert send(town).json()["code"] == code


def step(
    api: Api,
    verb: str,
    id: str = "nothing",
    body: Any = None,
    role: str | None = "client",
    key: Any = "",
) -> Any:
    return api.post(f"/v1/payments/{id}/{verb}", body or {}, role=role, key=key)


STEP_ROWS: list[tuple[str, dict[str, Any]]] = [
    ("unauthenticated", {"role": None, "body": {"x": 1}, "key": None}),
    ("forbidden", {"role": "admin", "body": {"x": 1}, "key": None}),
    ("invalid_request", {"body": {"x": 1}, "key": None}),
    ("idempotency_key_missing", {"key": None}),
    ("idempotency_key_reused", {"key": "used"}),
    ("not_found", {}),
]


@pytest.mark.parametrize("verb", ["capture", "void", "cancel", "refunds"])
@pytest.mark.parametrize(("code", "sent"), STEP_ROWS, ids=[code for code, _ in STEP_ROWS])
def test_steps_of_payments_have_the_same_order(
    town: Api, verb: str, code: str, sent: dict[str, Any]
) -> None:
    assert step(town, verb, **sent).json()["code"] == code


def test_an_overdraft_of_a_client_is_refused_after_the_shape_and_before_the_key(
    town: Api,
) -> None:
    body = {"id": "rich", "currency": "EUR", "overdraft_limit": 5}
    wrong = town.post("/v1/accounts", {**body, "colour": "red"}, key=None)
    assert wrong.json()["code"] == "invalid_request"
    assert town.post("/v1/accounts", body, key=None).json()["code"] == "forbidden"
