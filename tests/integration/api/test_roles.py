"""Every route says who may: the table stands here once more, so that a forgotten route fails."""

from __future__ import annotations

import time

import psycopg
import pytest
from fastapi.routing import iter_route_contexts

from api.app import ROUTERS
from api.auth import Allowed
from infrastructure.keys import ROLES
from tests.fixtures.fix_api import Api, make_key, one_posting

EVERYBODY = {"client", "auditor", "reporter", "admin"}
NO_KEY = {
    *("/livez", "/readyz", "/metrics", "/openapi.json", "/docs", "/docs/{asset}"),
    *("/p/{token}", "/.well-known/jwks.json"),
}

TABLE: dict[tuple[str, str], set[str]] = {
    ("POST", "/v1/accounts"): {"client", "admin"},
    ("PATCH", "/v1/accounts/{id}"): {"admin"},
    ("POST", "/v1/accounts/{id}/freeze"): {"admin"},
    ("POST", "/v1/accounts/{id}/unfreeze"): {"admin"},
    ("POST", "/v1/accounts/{id}/close"): {"admin"},
    ("POST", "/v1/payments"): {"client"},
    ("POST", "/v1/payments/bulk"): {"client"},
    ("POST", "/v1/payments/{id}/capture"): {"client"},
    ("POST", "/v1/payments/{id}/void"): {"client"},
    ("POST", "/v1/payments/{id}/cancel"): {"client"},
    ("POST", "/v1/payments/{id}/refunds"): {"client"},
    ("POST", "/v1/payments/{id}/confirm"): {"client"},
    ("POST", "/v1/payments/{id}/decline"): {"client"},
    ("POST", "/v1/pay-codes"): {"client"},
    ("POST", "/v1/devices"): {"client"},
    ("POST", "/v1/devices/{id}/online"): {"client"},
    ("POST", "/v1/devices/{id}/revoke"): {"client"},
    ("POST", "/v1/payment-requests"): {"client"},
    ("PATCH", "/v1/payment-requests/{id}"): {"client"},
    ("POST", "/v1/payment-requests/{id}/cancel"): {"client"},
    ("POST", "/v1/payment-requests/{id}/pay"): {"client"},
    ("POST", "/v1/qr/decode"): {"client"},
    ("POST", "/v1/pay-codes/decode"): {"client"},
    ("GET", "/v1/accounts"): EVERYBODY,
    ("GET", "/v1/accounts/{id}"): EVERYBODY,
    ("GET", "/v1/accounts/{id}/balance"): EVERYBODY,
    ("GET", "/v1/accounts/{id}/holds"): EVERYBODY,
    ("GET", "/v1/accounts/{id}/qr"): EVERYBODY,
    ("GET", "/v1/accounts/{id}/statement"): EVERYBODY,
    ("GET", "/v1/balances"): EVERYBODY,
    ("GET", "/v1/balances/total"): EVERYBODY,
    ("GET", "/v1/trial-balance"): EVERYBODY,
    ("GET", "/v1/trial-balance/accounts"): EVERYBODY,
    ("GET", "/v1/payments"): EVERYBODY,
    ("GET", "/v1/payments/{id}"): EVERYBODY,
    ("GET", "/v1/payments/{id}/timeline"): EVERYBODY,
    ("GET", "/v1/payment-requests"): EVERYBODY,
    ("GET", "/v1/payment-requests/{id}"): EVERYBODY,
    ("GET", "/v1/payment-requests/{id}/qr"): EVERYBODY,
    ("GET", "/v1/pay-codes/{id}"): EVERYBODY,
    ("GET", "/v1/pay-codes/{id}/carrier"): {"client"},
    ("GET", "/v1/devices/{id}"): EVERYBODY,
    ("GET", "/v1/reports/carriers"): EVERYBODY,
    ("GET", "/v1/events"): {"auditor"},
    ("GET", "/v1/events/{position}"): {"auditor"},
    ("GET", "/v1/status"): EVERYBODY,
}


def routes() -> dict[tuple[str, str], set[str] | None]:
    """The roles that each route of the app allows; None where it asks for no key."""
    found: dict[tuple[str, str], set[str] | None] = {}
    for router in ROUTERS:
        for route in iter_route_contexts(router.routes):
            gates = [d.call for d in route.dependant.dependencies if isinstance(d.call, Allowed)]
            for method in route.methods or ():
                found[method, route.path or ""] = set(gates[0].roles) if gates else None
    return found


def test_every_route_is_in_the_table_of_roles_and_asks_for_a_key() -> None:
    found = routes()
    assert {route for route, roles in found.items() if roles is None} == {
        ("GET", path) for path in NO_KEY
    }
    assert {route: roles for route, roles in found.items() if roles is not None} == TABLE


@pytest.mark.parametrize(("method", "path"), TABLE)
def test_a_route_serves_its_roles_and_refuses_the_others(
    shared_api: Api, method: str, path: str
) -> None:
    path = path.replace("{id}", "nobody").replace("{position}", "0")
    without = shared_api.send(method, path, role=None)
    assert without.status_code == 401
    assert without.json()["code"] == "unauthenticated"
    assert without.headers["WWW-Authenticate"].startswith("Bearer")
    for role in ROLES:
        answer = shared_api.send(method, path, role=role)
        if role in TABLE[method, path.replace("nobody", "{id}").replace("/0", "/{position}")]:
            assert answer.status_code not in (401, 403, 500)
        else:
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize("path", sorted(NO_KEY))
def test_some_routes_need_no_key(shared_api: Api, path: str) -> None:
    known = 404 if "{" in path else 200  # nobody has such a token, nor such a file
    assert shared_api.get(path, role=None).status_code == known


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer a b", "Basic dGs6", "tk_something", "Bearer " + "x" * 300]
)
def test_what_is_no_bearer_key_is_unauthenticated(shared_api: Api, header: str) -> None:
    answer = shared_api.get("/v1/status", role=None, headers={"Authorization": header})
    assert answer.status_code == 401
    assert "tk_something" not in answer.text


def test_a_revoked_key_ends_within_a_moment(api: Api) -> None:
    assert api.get("/v1/status", role="reporter").status_code == 200
    with psycopg.connect(api.store.owner_dsn) as conn:
        conn.execute("UPDATE tally.keys SET revoked_at = now() WHERE role = 'reporter'")
    time.sleep(1.1)
    assert api.get("/v1/status", role="reporter").status_code == 401


def test_a_new_key_of_a_name_is_the_same_caller(api: Api) -> None:
    api.open("cash", overdraft_limit=None)
    api.open("alice")
    first = api.pay("cash", "alice", 5, key="once")
    api.keys["client"] = make_key(api.store, "client", caller="client")
    again = api.pay("cash", "alice", 5, key="once")
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"


def test_the_same_key_of_another_caller_is_another_command(api: Api) -> None:
    api.open("cash", overdraft_limit=None)
    api.open("alice")
    first = api.pay("cash", "alice", 5, key="once")
    api.keys["client"] = make_key(api.store, "client", caller="another-shop")
    other = api.pay("cash", "alice", 5, key="once")
    assert other.status_code == 201
    assert other.json()["id"] != first.json()["id"]


def test_a_client_opens_accounts_without_an_overdraft_only(api: Api) -> None:
    for limit in (1, None):
        refused = api.post(
            "/v1/accounts", {"id": "rich", "currency": "EUR", "overdraft_limit": limit}
        )
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    opened = api.post("/v1/accounts", {"id": "rich", "currency": "EUR", "overdraft_limit": 0})
    assert opened.status_code == 201


def test_an_admin_moves_no_money(api: Api) -> None:
    answer = api.post("/v1/payments", one_posting("a", "b", 1), role="admin")
    assert answer.json()["code"] == "forbidden"
