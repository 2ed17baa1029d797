"""A dry run of any command: the answer that it would give, and nothing recorded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from tests.fixtures.fix_api import Api, an_api, one_posting
from tests.fixtures.fix_postgres import Store

OURS = ("id", "payment_id", "created_at", "opened_at", "hold_expires_at", "request_id")
"""What another run of the same command has otherwise."""


def end(api: Api) -> int:
    return int(api.get("/v1/status").json()["end"])


def shown(answer: httpx2.Response) -> dict[str, Any]:
    return {name: value for name, value in answer.json().items() if name not in OURS}


def test_every_command_answers_as_it_would_and_records_nothing(fresh_store: Store) -> None:
    with an_api(fresh_store, workers=False) as api:
        api.open("cash", overdraft_limit=None)
        api.open("alice", "bob")
        api.pay("cash", "alice", 1000)
        holds = {**one_posting("alice", "bob", 100), "mode": "hold"}
        held, other = (api.post("/v1/payments", holds).json()["id"] for _ in range(2))
        settled = api.pay("alice", "bob", 10).json()["id"]
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        later = {**one_posting("alice", "bob", 1), "execute_at": tomorrow}
        scheduled = api.post("/v1/payments", later).json()["id"]
        commands: list[tuple[str, str, Any, str]] = [
            ("POST", "/v1/accounts", {"id": "carol", "currency": "EUR"}, "client"),
            ("POST", "/v1/accounts", {"id": "alice", "currency": "EUR"}, "client"),
            ("PATCH", "/v1/accounts/alice", {"max_balance": 5000}, "admin"),
            ("PATCH", "/v1/accounts/nobody", {"max_balance": 5000}, "admin"),
            ("POST", "/v1/accounts/bob/freeze", {"reason": "test"}, "admin"),
            ("POST", "/v1/accounts/bob/unfreeze", {"reason": "test"}, "admin"),
            ("POST", "/v1/accounts/bob/close", {"reason": "test"}, "admin"),
            ("POST", "/v1/payments", one_posting("alice", "bob", 5), "client"),
            ("POST", "/v1/payments", one_posting("alice", "bob", 5000), "client"),
            ("POST", "/v1/payments", holds, "client"),
            ("POST", f"/v1/payments/{held}/capture", {"amount": 5, "final": False}, "client"),
            ("POST", f"/v1/payments/{held}/capture", {"amount": 500}, "client"),
            ("POST", f"/v1/payments/{held}/void", {}, "client"),
            ("POST", f"/v1/payments/{other}/capture", {}, "client"),
            ("POST", f"/v1/payments/{scheduled}/cancel", {}, "client"),
            ("POST", f"/v1/payments/{settled}/refunds", {"amount": 3}, "client"),
            ("POST", f"/v1/payments/{settled}/refunds", {"amount": 30}, "client"),
            ("POST", "/v1/payments/nothing/refunds", {}, "client"),
        ]
        for method, path, body, role in commands:
            before = end(api)
            dry = api.send(method, f"{path}?dry_run=true", body, role=role, key=None)
            assert end(api) == before
            done = api.send(method, path, body, role=role)
            assert dry.status_code == (200 if done.status_code == 201 else done.status_code)
            assert shown(dry) == shown(done), (method, path)


def test_a_key_that_is_given_is_looked_up_but_not_used_up(api: Api) -> None:
    api.open("cash", overdraft_limit=None)
    api.open("alice")
    body = one_posting("cash", "alice", 5)
    dry = api.post("/v1/payments?dry_run=true", body, key="k")
    made = api.post("/v1/payments", body, key="k")
    assert (dry.status_code, made.status_code) == (200, 201)
    assert made.json()["id"] == dry.json()["id"]
    assert "Idempotent-Replayed" not in made.headers
    known = api.post("/v1/payments?dry_run=true", body, key="k")
    assert (known.status_code, known.json()) == (200, made.json())
    assert known.headers["Idempotent-Replayed"] == "true"
    reused = api.post("/v1/payments?dry_run=true", one_posting("cash", "alice", 6), key="k")
    assert reused.json()["code"] == "idempotency_key_reused"
    for sent, code in (("a b", "invalid_request"), ("", "idempotency_key_missing")):
        headers = {"Idempotency-Key": sent}
        wrong = api.post("/v1/payments?dry_run=true", body, key=None, headers=headers)
        assert wrong.json()["code"] == code


@pytest.mark.parametrize("parameter", ["?dry_run=false", ""])
def test_without_a_dry_run_a_key_is_needed(api: Api, parameter: str) -> None:
    answer = api.post(f"/v1/payments{parameter}", one_posting("a", "b", 5), key=None)
    assert answer.json()["code"] == "idempotency_key_missing"


def test_who_may_not_may_not_try_either(api: Api) -> None:
    for role, status in ((None, 401), ("admin", 403), ("auditor", 403)):
        answer = api.post("/v1/payments?dry_run=true", one_posting("a", "b", 5), role=role)
        assert answer.status_code == status


def test_dry_runs_are_not_counted_as_decided(api: Api) -> None:
    api.open("alice")
    api.post("/v1/payments?dry_run=true", one_posting("alice", "nobody", 5))
    api.pay("alice", "nobody", 5)
    counted = [
        line
        for line in api.get("/metrics", role=None).text.splitlines()
        if line.startswith("tally_commands_total")
    ]
    assert counted == [
        'tally_commands_total{command="open_account",outcome="accepted"} 1.0',
        'tally_commands_total{command="make_payment",outcome="account_unknown"} 1.0',
    ]
