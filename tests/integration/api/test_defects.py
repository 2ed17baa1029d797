"""What nobody expected to fail is answered as the contract says, on every way."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures.fix_api import Api, one_posting

PAYMENT = one_posting("cash", "alice", 1)


@pytest.mark.parametrize(
    ("fails", "method", "path", "body"),
    [
        ("api.reading.ReadModels.find", "GET", "/v1/accounts/alice/balance", None),
        ("api.reading.ReadModels.at", "GET", "/v1/balances", None),
        ("api.reading.ReadModels.status", "GET", "/v1/status", None),
        ("api.routes.payment_commands.carry_out", "POST", "/v1/payments?dry_run=false", PAYMENT),
        ("api.short_way.accepted", "POST", "/v1/payments", PAYMENT),
    ],
)
def test_a_defect_is_told_as_such(
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fails: str,
    method: str,
    path: str,
    body: Any,
) -> None:
    api.open("cash", overdraft_limit=None)
    api.open("alice")
    assert api.get("/v1/accounts/alice").status_code == 200  # its key is known

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("of a value that is nobody's business")

    with monkeypatch.context() as patch:
        patch.setattr(fails, broken)
        for _ in range(2):  # the connection is as good as before
            answer = api.send(method, path, body, headers={"X-Request-Id": "mine"})
            assert answer.status_code == 500
            assert answer.headers["Content-Type"] == "application/problem+json"
            problem = answer.json()
            assert (problem["code"], problem["request_id"]) == ("internal", "mine")
            assert "unknown" in problem["detail"]
            assert "business" not in answer.text
            assert "ZeroDivisionError" not in answer.text
    assert "of a value that is nobody's business" in caplog.text
    assert api.send(method, path, body).is_success
