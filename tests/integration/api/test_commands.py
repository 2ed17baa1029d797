"""Commands over HTTP: their answers, and that each takes effect once."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fixtures.fix_api import Api, one_posting


def test_an_account_is_answered_with_its_defaults(api: Api) -> None:
    answer = api.post("/v1/accounts", {"id": "customers:alice", "currency": "EUR"})
    assert answer.status_code == 201
    account = answer.json()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", account.pop("opened_at"))
    assert account == {
        "id": "customers:alice",
        "currency": "EUR",
        "normal_side": "credit",
        "overdraft_limit": 0,
        "max_balance": None,
        "metadata": {},
        "status": "open",
        "version": 1,
        "limits": [],
        "position": 2,
    }


def test_the_server_makes_ids_that_cannot_be_guessed(api: Api) -> None:
    first, second = (api.post("/v1/accounts", {"currency": "EUR"}).json()["id"] for _ in range(2))
    assert first != second
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9:._-]{20,63}", first)
    assert api.get(f"/v1/accounts/{first}").json()["id"] == first


def test_a_replay_of_an_opening_without_an_id_gives_the_same_account(api: Api) -> None:
    first = api.post("/v1/accounts", {"currency": "EUR"}, key="k")
    again = api.post("/v1/accounts", {"currency": "EUR"}, key="k")
    assert (again.status_code, again.json()) == (201, first.json())
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"


def test_an_account_is_frozen_unfrozen_changed_and_closed(api: Api) -> None:
    api.open("alice")

    def change(verb: str, status: str, version: int) -> None:
        answer = api.post(f"/v1/accounts/alice/{verb}", {"reason": "asked"}, role="admin")
        account = answer.json()
        found = (answer.status_code, account["status"], account["version"])
        assert found == (200, status, version)

    change("freeze", "frozen", 2)
    change("freeze", "frozen", 2)
    change("unfreeze", "open", 3)
    changed = api.send(
        "PATCH",
        "/v1/accounts/alice",
        {"overdraft_limit": None, "max_balance": 10, "metadata": {"a": "b"}},
        role="admin",
    ).json()
    assert (changed["overdraft_limit"], changed["max_balance"]) == (None, 10)
    assert (changed["metadata"], changed["version"]) == ({"a": "b"}, 4)
    change("close", "closed", 5)
    change("close", "closed", 5)
    refused = api.post("/v1/accounts/alice/freeze", {"reason": "asked"}, role="admin")
    assert (refused.status_code, refused.json()["code"]) == (422, "account_closed")


def test_an_empty_patch_changes_nothing_and_answers(api: Api) -> None:
    api.open("alice")
    for sent in ({"content": b""}, {"body": {}}, {"body": {"metadata": None}}):
        answer = api.send("PATCH", "/v1/accounts/alice", role="admin", **sent)  # type: ignore[arg-type]
        assert (answer.status_code, answer.json()["version"]) == (200, 1)


def test_a_taken_id_is_a_conflict_and_leaves_the_key_unused(api: Api) -> None:
    api.open("alice")
    taken = api.post("/v1/accounts", {"id": "alice", "currency": "EUR"}, key="k")
    assert (taken.status_code, taken.json()["code"]) == (409, "account_exists")
    assert taken.json()["account"] == "alice"
    other = api.post("/v1/accounts", {"id": "bob", "currency": "EUR"}, key="k")
    assert other.status_code == 201


def test_a_refused_payment_says_what_it_is_about_and_is_repeated_for_ever(api: Api) -> None:
    api.open("alice", "bob")
    first = api.pay("alice", "bob", 5, key="k")
    assert first.status_code == 422
    problem = first.json()
    assert problem["code"] == "insufficient_funds"
    assert (problem["account"], problem["index"]) == ("alice", 0)
    again = api.pay("alice", "bob", 5, key="k")
    assert again.headers["Idempotent-Replayed"] == "true"
    assert {**again.json(), "request_id": ""} == {**problem, "request_id": ""}
    payment = api.get(f"/v1/payments/{problem['payment_id']}", min_position=problem["position"])
    assert payment.json()["state"] == "refused"
    assert payment.json()["refusal"] == {
        "code": "insufficient_funds",
        "account": "alice",
        "index": 0,
    }


SAME = [
    b'{"postings":[{"debit":"cash","credit":"alice","amount":5,"currency":"EUR"}]}',
    b'{ "postings" : [ {"currency":"EUR","amount":5,"credit":"alice","debit":"cash"} ] }',
    b'{"postings":[{"debit":"cash","credit":"\\u0061lice","amount":5,"currency":"EUR"}]}',
    b'{"reference":null,"postings":[{"debit":"cash","credit":"alice","amount":5,"currency":"EUR"}]}',
]
ANOTHER = [
    b'{"postings":[{"debit":"cash","credit":"alice","amount":6,"currency":"EUR"}]}',
    b'{"mode":"settle","postings":[{"debit":"cash","credit":"alice","amount":5,"currency":"EUR"}]}',
    b'{"metadata":{},"postings":[{"debit":"cash","credit":"alice","amount":5,"currency":"EUR"}]}',
]


def test_requests_are_compared_by_meaning(api: Api) -> None:
    api.open("cash", overdraft_limit=None)
    api.open("alice")
    first = api.post("/v1/payments", content=SAME[0], key="k")
    assert first.status_code == 201
    for content in SAME:
        again = api.post("/v1/payments", content=content, key='"k"')
        assert (again.status_code, again.json()) == (201, first.json())
    for content in ANOTHER:
        other = api.post("/v1/payments", content=content, key="k")
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_null_is_a_limit_of_its_own_and_not_an_absent_one(api: Api) -> None:
    api.open("alice")
    path = "/v1/accounts/alice"
    first = api.send("PATCH", path, {"overdraft_limit": None}, role="admin", key="k")
    assert first.json()["overdraft_limit"] is None
    other = api.send("PATCH", path, {}, role="admin", key="k")
    assert other.json()["code"] == "idempotency_key_reused"


def test_the_path_belongs_to_what_a_request_means(api: Api) -> None:
    api.open("alice", "bob")
    body = {"reason": "asked"}
    assert api.post("/v1/accounts/alice/freeze", body, role="admin", key="k").status_code == 200
    for path in ("/v1/accounts/bob/freeze", "/v1/accounts/alice/close"):
        other = api.post(path, body, role="admin", key="k")
        assert other.json()["code"] == "idempotency_key_reused"
    same = api.post("/v1/accounts/%61lice/freeze", body, role="admin", key="k")
    assert same.headers["Idempotent-Replayed"] == "true"


def test_a_replay_is_marked_whatever_request_id_the_client_sends(api: Api) -> None:
    api.open("cash", overdraft_limit=None)
    api.open("alice")
    sent = {"headers": {"X-Request-Id": "mine"}, "key": "k"}
    assert "Idempotent-Replayed" not in api.pay("cash", "alice", 5, **sent).headers
    assert api.pay("cash", "alice", 5, **sent).headers["Idempotent-Replayed"] == "true"


def test_twins_that_race_take_effect_once_and_all_but_one_are_replays(api: Api) -> None:
    api.open("cash", overdraft_limit=None)
    api.open("alice")
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: api.pay("cash", "alice", 5, key="k"), range(32)))
    assert {answer.text for answer in answers} == {answers[0].text}
    assert sum("Idempotent-Replayed" in answer.headers for answer in answers) == 31
    position = answers[0].json()["position"]
    balance = api.get("/v1/accounts/alice/balance", min_position=position).json()
    assert balance["posted"] == 5


def test_a_payment_of_several_postings_and_currencies_is_all_or_nothing(api: Api) -> None:
    api.open("fx:eur", "alice:eur", overdraft_limit=None)
    api.open("fx:usd", overdraft_limit=None, currency="USD")
    opened = api.post("/v1/accounts", {"id": "alice:usd", "currency": "USD"})
    assert opened.status_code == 201
    exchange: dict[str, Any] = {
        "postings": [
            {"debit": "alice:eur", "credit": "fx:eur", "amount": 100, "currency": "EUR"},
            {"debit": "fx:usd", "credit": "alice:usd", "amount": 108, "currency": "USD"},
        ],
        "carrier": "qr",
        "reference": "fx-1",
        "value_date": opened.json()["opened_at"][:10],
        "metadata": {"rate": "1.08"},
    }
    payment = api.post("/v1/payments", exchange).json()
    assert [balance["account"] for balance in payment["balances"]] == [
        "alice:eur",
        "fx:eur",
        "fx:usd",
        "alice:usd",
    ]
    exchange["postings"].append(
        {"debit": "alice:usd", "credit": "fx:usd", "amount": 1000, "currency": "USD"}
    )
    refused = api.post("/v1/payments", exchange).json()
    assert (refused["code"], refused["index"]) == ("insufficient_funds", 2)
    total = api.get("/v1/balances/total", prefix="alice", min_position=refused["position"])
    assert [item["posted"] for item in total.json()["items"]] == [-100, 108]


@pytest.mark.parametrize("days", [-367, 367])
def test_a_value_date_too_far_away_is_invalid_and_not_recorded(api: Api, days: int) -> None:
    api.open("cash", overdraft_limit=None)
    far = (datetime.now(UTC) + timedelta(days=days)).date().isoformat()
    body = {**one_posting("cash", "nobody", 5), "value_date": far}
    answer = api.post("/v1/payments", body, key="k")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["errors"][0]["pointer"] == "/value_date"
    assert api.post("/v1/payments", one_posting("cash", "nobody", 5), key="k").status_code == 422


def test_the_history_knows_who_asked(api: Api) -> None:
    position = api.open("alice")
    event = api.get(f"/v1/events/{position}", role="auditor").json()
    assert event["actor"]["caller"] == "admin"
    assert event["actor"]["key_id"].startswith("key_")


def test_every_request_leaves_one_line_in_the_log_without_a_secret(
    api: Api, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("INFO", logger="tally.access")
    api.open("alice", "bob")
    for _ in range(2):
        api.get("/v1/accounts/alice", headers={"X-Request-Id": "mine"})
        api.pay("alice", "bob", 1, headers={"X-Request-Id": "refused"})
        api.pay("alice", "bob", "1", headers={"X-Request-Id": "invalid"})
    # A line is written once its answer is: those of the first requests are there by now.
    lines = capsys.readouterr().err
    told = {line["request_id"]: line for line in map(json.loads, lines.splitlines())}
    members = ("method", "route", "status", "caller")
    assert [told["mine"][name] for name in members] == [
        "GET", "/v1/accounts/{id}", 200, "client"
    ]  # fmt: skip
    for id_, status in (("refused", 422), ("invalid", 400)):
        assert [told[id_][name] for name in members] == ["POST", "/v1/payments", status, "client"]
    assert told["mine"]["ms"] > 0
    assert api.keys["client"] not in lines
