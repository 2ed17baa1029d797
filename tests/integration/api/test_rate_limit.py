"""`TALLY_RATE_LIMIT`: what is beyond it is told so, on every way, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fixtures.fix_api import Api, one_posting


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/payments"),
        ("POST", "/v1/payments?dry_run=false"),
        ("POST", "/v1/payments/bulk"),
        ("GET", "/v1/accounts/alice/balance"),
        ("GET", "/v1/accounts"),
    ],
)
def test_who_asks_too_often_is_told_so_before_all_else(
    new_api: Callable[..., Api], method: str, path: str
) -> None:
    api = new_api(rate_limit=1)
    body = None if method == "GET" else one_posting("alice", "bob", 1)
    answers = [api.send(method, path, body, key=f"k{n}") for n in range(20)]
    limited = [each for each in answers if each.status_code == 429]
    assert limited
    for each in limited:
        assert each.json()["code"] == "rate_limited"
        assert each.headers["Retry-After"] == "1"
    assert answers[0].status_code != 429
    other = api.get("/v1/status", role="auditor")  # another caller
    assert other.status_code == 200
    payments = sum(each.status_code == 422 for each in answers)  # of accounts that are not there
    assert other.json()["end"] == payments
