"""Reads by the direct way are answered as through the app, and plain ones do go it."""

from __future__ import annotations

from typing import Any

import pytest

from api.direct_reads import DirectReads
from api.problems import Problem
from tests.fixtures.fix_api import Api

NOBODYS = "907b348d-01bd-505b-bd56-4dc9fbcdc328"
STATEMENT = "/v1/accounts/alice/statement?from=2026-01-01&to=2036-01-01"


@pytest.fixture(scope="module")
def town(shared_api: Api) -> Api:
    api = shared_api
    api.open("cash", normal_side="debit", overdraft_limit=None)
    api.open("alice")
    for amount in (100, 200, 300):
        paid = api.pay("cash", "alice", amount)
    there = f"min_position={paid.json()['position']}"
    for path in ("/v1/payments?", "/v1/balances?", f"{STATEMENT}&"):  # each of its own read model
        answer = api.get(f"{path}{there}", headers={"Prefer": "wait=30"})
        assert answer.status_code == 200
    return api


def path_of(api: Api, path: str) -> str:
    payment = api.get("/v1/payments", limit=1).json()["items"][0]["id"]
    return path.replace("PAYMENT", payment)


def told(api: Api, path: str, method: str = "GET", **named: Any) -> Any:
    """All of the answer but its date."""
    headers = {"X-Request-Id": "same", "Prefer": "wait=0", **named.pop("headers", {})}
    answer = api.send(method, path, headers=headers, **named)
    del answer.headers["date"]
    return answer.status_code, dict(answer.headers), answer.content


def through_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DirectReads, "_call", lambda self, request: None)


def close_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: Any) -> None:
        raise Problem("gone")

    monkeypatch.setattr("fastapi.routing.APIRoute.handle", closed)


PLAIN = [
    "/v1/accounts/alice/balance",
    "/v1/accounts/alice/balance?min_position=3",
    "/v1/accounts/alice/balance?as_of_position=6",
    "/v1/accounts/alice/balance?effective_at=2026-01-01",
    "/v1/payments/PAYMENT",
    "/v1/payments/PAYMENT?min_position=3",
    STATEMENT,
    f"{STATEMENT}&limit=2",
    f"{STATEMENT}&by=value_date",
]
ELSE = [
    "/v1/accounts/nobody/balance",
    "/v1/accounts/-/balance",
    "/v1/accounts/a%2Fb/balance",
    "/v1/accounts/alice/balance?min_position=999999",
    "/v1/accounts/alice/balance?min_position=x",
    "/v1/accounts/alice/balance?min_position=3&min_position=4",
    "/v1/accounts/alice/balance?min_position=",
    "/v1/accounts/alice/balance?nonsense=1",
    "/v1/accounts/alice/balance?as_of_position=6&as_of=2026-01-01T00:00:00Z",
    "/v1/accounts/alice/balance/",
    f"/v1/payments/{NOBODYS}",
    f"/v1/payments/{NOBODYS.upper()}",
    "/v1/payments/bulk",
    "/v1/payments/nonsense",
    "/v1/accounts/alice/statement",
    f"{STATEMENT}&cursor=nonsense",
    "/v1/accounts/alice/statement?from=2027-01-01&to=2026-01-01",
    "/v1/accounts/nobody/statement?from=2026-01-01&to=2027-01-01",
]


@pytest.mark.parametrize("path", PLAIN + ELSE)
def test_both_ways_answer_alike(town: Api, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = path_of(town, path)
    direct = told(town, path)
    through_the_app(monkeypatch)
    assert told(town, path) == direct


@pytest.mark.parametrize(
    ("method", "role", "headers"),
    [
        ("GET", "auditor", {}),
        ("GET", "reporter", {}),
        ("GET", "admin", {}),
        ("GET", None, {}),
        ("GET", None, {"Authorization": "Bearer tk_nobody"}),
        ("GET", None, {"Authorization": "Basic YTpi"}),
        ("GET", "client", {"Accept": "text/csv"}),
        ("GET", "client", {"If-None-Match": "*"}),
        ("GET", "client", {"If-None-Match": '"another"'}),
        ("HEAD", "client", {}),
        ("DELETE", "client", {}),
    ],
)
@pytest.mark.parametrize("path", ["/v1/accounts/alice/balance", "/v1/payments/PAYMENT", STATEMENT])
def test_both_ways_let_the_same_in(
    town: Api,
    path: str,
    method: str,
    role: str | None,
    headers: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = path_of(town, path)
    direct = told(town, path, method, role=role, headers=headers)
    through_the_app(monkeypatch)
    assert told(town, path, method, role=role, headers=headers) == direct


@pytest.mark.parametrize("path", PLAIN)
def test_plain_reads_go_the_direct_way(
    town: Api, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = path_of(town, path)  # and so the key is known
    close_the_app(monkeypatch)
    assert town.get(path).status_code == 200
    assert town.get("/v1/balances").status_code == 410


def test_of_whose_role_may_not_the_app_says_so(town: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    direct = town.app.middleware_stack._app._app  # type: ignore[union-attr]
    assert isinstance(direct, DirectReads)
    # Today every role may read all of these.
    nobodys = [read._replace(allowed=frozenset()) for read in direct._reads]
    monkeypatch.setattr(direct, "_reads", nobodys)
    assert town.get("/v1/accounts/alice/balance").status_code == 200
    close_the_app(monkeypatch)
    assert town.get("/v1/accounts/alice/balance").status_code == 410


def test_what_a_read_is_called_in_the_metrics_does_not_depend_on_its_way(town: Api) -> None:
    route = '{method="GET",route="/v1/accounts/{id}/balance",status="200"}'

    def counted() -> float:
        lines = town.get("/metrics", role=None).text.splitlines()
        (line,) = (each for each in lines if "requests_total" in each and route in each)
        return float(line.rsplit(" ", 1)[1])

    assert town.get("/v1/accounts/alice/balance").status_code == 200
    before = counted()
    assert town.get("/v1/accounts/alice/balance").status_code == 200
    assert counted() == before + 1
