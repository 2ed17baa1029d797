"""What may become of a payment, over HTTP: its steps, their refusals, and each is done once."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from tests.fixtures.fix_api import Api, an_api, one_posting
from tests.fixtures.fix_postgres import Cluster

Answer = httpx2.Response


@pytest.fixture(scope="module")
def bank(cluster: Cluster) -> Iterator[Api]:
    """An API whose answers alone are looked at; `cash` gives, every test opens its own."""
    with cluster.store() as store, an_api(store, workers=False) as api:
        api.open("cash", overdraft_limit=None)
        yield api


@pytest.fixture
def people(bank: Api) -> tuple[str, str]:
    """Two accounts of the test's own: one that has 1,000, and one that has nothing."""
    alice, bob = (f"{secrets.token_hex(8)}:{name}" for name in ("alice", "bob"))
    bank.open(alice, bob)
    assert bank.pay("cash", alice, 1000).status_code == 201
    return alice, bob


def hold(api: Api, people: tuple[str, str], amount: int = 100, **members: Any) -> str:
    held = api.post("/v1/payments", {**one_posting(*people, amount), "mode": "hold", **members})
    assert (held.status_code, held.json()["state"]) == (201, "held")
    return str(held.json()["id"])


def step(api: Api, payment: str, verb: str, body: Any = None, **named: Any) -> Answer:
    return api.post(f"/v1/payments/{payment}/{verb}", body or {}, **named)


def told(answer: Answer, name: str) -> dict[str, int]:
    return {each["account"]: each[name] for each in answer.json()["balances"]}


def refusal(answer: Answer) -> dict[str, Any]:
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    return {
        name: problem[name]
        for name in problem
        if name not in ("type", "title", "status", "detail", "request_id", "position")
    }


def again(api: Api, first: Answer) -> None:
    """The same request gets the same answer, but for the request's id, marked as a replay."""
    sent = first.request
    repeated = api.http.send(sent)
    assert repeated.status_code == first.status_code
    assert repeated.headers["Idempotent-Replayed"] == "true"
    if first.status_code < 300:
        assert repeated.content == first.content
    else:
        assert {**repeated.json(), "request_id": ""} == {**first.json(), "request_id": ""}


def test_a_hold_is_captured_in_parts_and_the_rest_released(
    bank: Api, people: tuple[str, str]
) -> None:
    alice, bob = people
    held = bank.post(
        "/v1/payments", {**one_posting(alice, bob, 100), "mode": "hold", "hold_timeout_s": 60}
    )
    payment = held.json()
    due = datetime.fromisoformat(payment["created_at"]) + timedelta(seconds=60)
    assert datetime.fromisoformat(payment["hold_expires_at"]) == due
    assert told(held, "pending_debit") == {alice: 100, bob: 0}
    assert told(held, "available") == {alice: 900, bob: 0}
    part = step(bank, payment["id"], "capture", {"amount": 30, "final": False})
    assert (part.status_code, part.json()["state"]) == (200, "held")
    assert part.json()["postings"][0]["captured"] == 30
    assert told(part, "posted") == {alice: 970, bob: 30}
    last = step(bank, payment["id"], "capture", {"amount": 20})
    assert (last.status_code, last.json()["state"]) == (200, "settled")
    assert last.json()["postings"][0]["captured"] == 50
    assert told(last, "posted") == told(last, "available") == {alice: 950, bob: 50}
    for each in (held, part, last):
        again(bank, each)


def test_what_adds_up_to_the_whole_settles(bank: Api, people: tuple[str, str]) -> None:
    payment = hold(bank, people)
    for amount, state in ((40, "held"), (60, "settled")):
        answer = step(bank, payment, "capture", {"amount": amount, "final": False})
        assert answer.json()["state"] == state


def test_a_hold_is_voided(bank: Api, people: tuple[str, str]) -> None:
    payment = hold(bank, people)
    voided = step(bank, payment, "void")
    assert (voided.status_code, voided.json()["state"]) == (200, "voided")
    assert told(voided, "available") == {people[0]: 1000, people[1]: 0}
    again(bank, voided)


def test_a_void_after_a_capture_settles_what_was_captured(
    bank: Api, people: tuple[str, str]
) -> None:
    payment = hold(bank, people)
    part = step(bank, payment, "capture", {"amount": 30, "final": False})
    voided = step(bank, payment, "void")
    assert voided.json()["state"] == "settled"
    assert told(voided, "available") == {people[0]: 970, people[1]: 30}
    for each in (part, voided):
        again(bank, each)


def test_a_payment_is_refunded_in_parts_up_to_what_was_captured(
    bank: Api, people: tuple[str, str]
) -> None:
    payment = hold(bank, people, reference="order-17")
    captured = step(bank, payment, "capture", {"amount": 80})
    first = step(bank, payment, "refunds", {"amount": 50})
    refund = first.json()
    assert (first.status_code, refund["state"]) == (201, "settled")
    assert (refund["refund_of"], refund["reference"]) == (payment, "order-17")
    assert told(first, "posted") == {people[1]: 30, people[0]: 970}
    above = step(bank, payment, "refunds", {"amount": 31})
    assert refusal(above) == {
        "code": "refund_exceeds_payment",
        "payment_id": above.json()["payment_id"],
    }
    rest = step(bank, payment, "refunds")
    assert rest.json()["postings"][0]["amount"] == 30
    nothing = step(bank, payment, "refunds")
    assert nothing.json()["code"] == "refund_exceeds_payment"
    of_refund = step(bank, refund["id"], "refunds")
    assert of_refund.json()["code"] == "payment_not_refundable"
    for each in (captured, first, above, rest, nothing, of_refund):
        again(bank, each)


def test_a_scheduled_payment_is_canceled(bank: Api, people: tuple[str, str]) -> None:
    at = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    scheduled = bank.post("/v1/payments", {**one_posting(*people, 5000), "execute_at": at})
    payment = scheduled.json()
    assert (scheduled.status_code, payment["state"]) == (201, "scheduled")
    assert payment["balances"] == []
    canceled = step(bank, payment["id"], "cancel")
    assert (canceled.status_code, canceled.json()["state"]) == (200, "canceled")
    second = step(bank, payment["id"], "cancel")
    assert refusal(second) == {"code": "payment_not_cancelable", "payment_id": payment["id"]}
    for each in (scheduled, canceled, second):
        again(bank, each)


def test_a_refused_step_names_its_payment(bank: Api, people: tuple[str, str]) -> None:
    settled = bank.pay(*people, 10).json()["id"]
    held = hold(bank, people)
    for payment, verb, body, code in (
        (settled, "capture", {}, "payment_not_held"),
        (settled, "void", {}, "payment_not_held"),
        (settled, "cancel", {}, "payment_not_cancelable"),
        (held, "capture", {"amount": 101}, "capture_exceeds_hold"),
    ):
        answer = step(bank, payment, verb, body)
        assert refusal(answer) == {"code": code, "payment_id": payment}
        again(bank, answer)
    refund = step(bank, held, "refunds")
    assert refund.json()["code"] == "payment_not_refundable"
    assert refund.json()["payment_id"] != held


def test_a_hold_past_its_deadline_can_be_neither_captured_nor_voided(
    bank: Api, people: tuple[str, str]
) -> None:
    payment = hold(bank, people, amount=1000, hold_timeout_s=1)
    assert bank.pay(*people, 1).json()["code"] == "insufficient_funds"
    time.sleep(1.1)
    for verb in ("capture", "void"):
        assert step(bank, payment, verb).json()["code"] == "hold_expired"
    free = bank.pay(*people, 1)
    assert told(free, "available") == {people[0]: 999, people[1]: 1}


def test_a_frozen_account_refuses_captures_but_not_voids(
    bank: Api, people: tuple[str, str]
) -> None:
    payment = hold(bank, people)
    bank.post(f"/v1/accounts/{people[1]}/freeze", {"reason": "test"}, role="admin")
    refused = step(bank, payment, "capture")
    assert refusal(refused) == {
        "code": "account_frozen",
        "account": people[1],
        "index": 0,
        "payment_id": payment,
    }
    assert step(bank, payment, "void").json()["state"] == "voided"


def test_an_amount_is_for_payments_of_one_posting(bank: Api, people: tuple[str, str]) -> None:
    two = {"postings": one_posting(*people, 5)["postings"] * 2}
    held = bank.post("/v1/payments", {**two, "mode": "hold"}).json()["id"]
    settled = bank.post("/v1/payments", two).json()["id"]
    for payment, verb in ((held, "capture"), (settled, "refunds")):
        answer = step(bank, payment, verb, {"amount": 5}, key=f"{payment}-{verb}")
        (error,) = answer.json()["errors"]
        assert (answer.status_code, error["pointer"]) == (400, "/amount")
        whole = step(bank, payment, verb, key=f"{payment}-{verb}")
        assert whole.status_code in (200, 201)


def test_what_an_account_has_is_found(bank: Api, people: tuple[str, str]) -> None:
    part = bank.post("/v1/payments", one_posting(*people, {"up_to": 400}))
    assert part.json()["postings"][0]["amount"] == 400
    rest = bank.post("/v1/payments", one_posting(*people, "all"))
    assert rest.json()["postings"][0]["amount"] == 600
    nothing = bank.post("/v1/payments", one_posting(*people, "all"))
    assert refusal(nothing) == {
        "code": "nothing_available",
        "account": people[0],
        "index": 0,
        "payment_id": nothing.json()["payment_id"],
    }
    for each in (part, rest, nothing):
        again(bank, each)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"balance": "posted", "op": "eq", "amount": 1000}, True),
        ({"balance": "available", "op": "gt", "amount": 1000}, False),
        ({"balance": "posted", "op": "lt", "amount": 10**4000}, True),
        ({"balance": "posted", "op": "gte", "amount": -(10**30)}, True),
        ({"balance": "posted", "op": "lte", "amount": 999}, False),
        ({"version": 2}, True),
        ({"version": 10**30}, False),
    ],
)
def test_a_payment_is_made_on_a_condition(
    bank: Api, people: tuple[str, str], condition: dict[str, Any], holds: bool
) -> None:
    body = {**one_posting(*people, 5), "conditions": [{"account": people[0], **condition}]}
    answer = bank.post("/v1/payments", body)
    if holds:
        assert answer.status_code == 201
    else:
        problem = answer.json()
        assert (problem["code"], problem["index"]) == ("condition_failed", 0)
    again(bank, answer)


def test_a_velocity_limit_is_set_told_and_removed(bank: Api, people: tuple[str, str]) -> None:
    path = f"/v1/accounts/{people[0]}"
    limits = [
        {"window": "hour", "max_count": 1, "carrier": None},
        {"window": "day", "max_amount": 9},
    ]
    changed = bank.send("PATCH", path, {"limits": limits}, role="admin")
    assert changed.json()["limits"] == [
        {"window": "hour", "carrier": None, "max_count": 1, "max_amount": None},
        {"window": "day", "carrier": None, "max_count": None, "max_amount": 9},
    ]
    again(bank, changed)
    assert bank.pay(*people, 5).status_code == 201
    second = bank.pay(*people, 1).json()
    assert second["code"] == "limit_exceeded"
    assert second["limit"]["window"] == "hour"
    assert second["frees_at"].endswith("Z")
    never = bank.pay(*people, 10).json()
    assert never["code"] == "limit_exceeded"
    removed = bank.send("PATCH", path, {"limits": []}, role="admin")
    assert removed.json()["limits"] == []
    assert bank.pay(*people, 10).status_code == 201


def test_a_null_that_means_absent_is_the_same_limit(bank: Api, people: tuple[str, str]) -> None:
    path = f"/v1/accounts/{people[0]}"
    key = f"{people[0]}-limits"
    one = {"limits": [{"window": "day", "max_count": 5}]}
    other = {"limits": [{"window": "day", "max_count": 5, "max_amount": None, "carrier": None}]}
    first = bank.send("PATCH", path, one, role="admin", key=key)
    second = bank.send("PATCH", path, other, role="admin", key=key)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.json() == first.json()


def test_a_default_left_out_is_another_request(bank: Api, people: tuple[str, str]) -> None:
    payment = hold(bank, people)
    key = f"{payment}-capture"
    assert step(bank, payment, "capture", {"amount": 5, "final": True}, key=key).status_code == 200
    other = step(bank, payment, "capture", {"amount": 5}, key=key)
    assert other.json()["code"] == "idempotency_key_reused"
    same = step(bank, payment, "capture", {"amount": 5, "final": True}, key=key)
    assert same.headers["Idempotent-Replayed"] == "true"
