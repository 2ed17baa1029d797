"""A payer shows a code, a cashier takes it: once, in time; what fails is told alike."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import ndef
import pytest
import zxingcpp
from PIL import Image

from domain.code_digits import is_code
from tests.fixtures.fix_api import make_key
from tests.fixtures.fix_steps import Clock
from tests.fixtures.fix_tills import Till, by_code, told


def test_a_code_is_used_once_and_read_without_its_digits(till: Till) -> None:
    made = till.issue()
    assert is_code(made["code"])
    assert made["code"].startswith("9700")
    paid = till.pay(made["code"])
    assert told(paid) == (201, "settled")
    assert paid.json()["postings"][0]["debit"] == till.payer
    assert [one["posted"] for one in paid.json()["balances"]] == [900, 100]
    again = till.pay(made["code"])
    assert told(again) == (422, "pay_code_invalid")
    read = till.api.get(f"/v1/pay-codes/{made['id']}", min_position=again.json()["position"])
    assert read.json() == {
        **{name: value for name, value in made.items() if name != "code"},
        "state": "used",
        "payment_id": paid.json()["id"],
        "position": paid.json()["position"],
    }
    refused = till.api.get(f"/v1/payments/{again.json()['payment_id']}").json()
    assert refused["postings"][0]["debit"] is None


def test_a_replay_shows_the_code_until_it_is_used_or_over(till: Till, hands: Clock) -> None:
    body = {"debit_account": till.payer, "currency": "EUR", "max_amount": 500}
    first = till.api.post("/v1/pay-codes", body, key=f"code-{till.payer}")
    again = till.api.post("/v1/pay-codes", body, key=f"code-{till.payer}")
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert told(till.pay(first.json()["code"])) == (201, "settled")
    used = till.api.post("/v1/pay-codes", body, key=f"code-{till.payer}")
    assert used.json() == {**first.json(), "code": None}
    till.api.post("/v1/pay-codes", body, key=f"over-{till.payer}")
    hands.later(seconds=60)
    over = till.api.post("/v1/pay-codes", body, key=f"over-{till.payer}")
    assert (over.json()["code"], over.json()["state"]) == (None, "live")


def test_a_dry_run_issues_nothing_and_uses_nothing(till: Till) -> None:
    body = {"debit_account": till.payer, "currency": "EUR", "max_amount": 500}
    dry = till.api.post("/v1/pay-codes", body, dry_run="true", key=None)
    assert (dry.status_code, dry.json()["code"]) == (200, None)
    assert till.api.get(f"/v1/pay-codes/{dry.json()['id']}").status_code == 404
    code = till.issue()["code"]
    tried = till.pay(code, dry_run="true", key=None)
    assert told(tried) == (200, "settled")
    assert told(till.pay(code)) == (201, "settled")


@pytest.mark.parametrize("early", [1, 0, -1])
def test_at_its_deadline_a_code_is_over(till: Till, hands: Clock, early: int) -> None:
    made = till.issue(expires_in_s=10)
    hands.now = datetime.fromisoformat(made["expires_at"]) - timedelta(microseconds=early)
    live = early > 0
    answer = till.pay(made["code"])
    assert told(answer) == ((201, "settled") if live else (422, "pay_code_invalid"))
    position = answer.json()["position"]
    read = till.api.get(f"/v1/pay-codes/{made['id']}", min_position=position).json()
    assert read["state"] == ("used" if live else "expired")


def test_refusals_that_are_alike_differ_in_ids_alone(till: Till, hands: Clock) -> None:
    used, over = till.issue()["code"], till.issue(expires_in_s=10)["code"]
    till.pay(used)
    hands.later(seconds=20)
    mistyped = used[:-1] + str((int(used[-1]) + 1) % 10)
    documents = []
    for text in (used, over, mistyped, "970000000000000000000000", "", "\ud800", "x" * 1000):
        body = json.dumps(by_code(text, till.shop)).encode("ascii")  # a lone surrogate too
        answer = till.api.send("POST", "/v1/payments", content=body)
        assert answer.status_code == 422
        differing = ("request_id", "payment_id", "position")
        documents.append({k: v for k, v in answer.json().items() if k not in differing})
    assert documents == [documents[0]] * len(documents)
    assert documents[0]["code"] == "pay_code_invalid"


def test_what_a_code_allows(till: Till) -> None:
    code = till.issue(max_amount=500)["code"]
    assert told(till.pay(code, 501)) == (422, "pay_code_exceeded")
    in_dollars = by_code(code, till.shop)
    in_dollars["postings"][0]["currency"] = "USD"
    assert told(till.api.post("/v1/payments", in_dollars)) == (422, "currency_mismatch")
    assert told(till.pay(code, 500)) == (201, "settled")


def test_a_code_of_no_account_or_another_currency_is_refused(till: Till) -> None:
    body = {"debit_account": till.payer, "currency": "USD", "max_amount": 500}
    wrong = till.api.post("/v1/pay-codes", body, key=f"wrong-{till.payer}")
    assert told(wrong) == (422, "currency_mismatch")
    again = till.api.post("/v1/pay-codes", body, key=f"wrong-{till.payer}")
    assert told(again) == (422, "currency_mismatch")
    assert again.headers["Idempotent-Replayed"] == "true"
    nobody = till.api.post("/v1/pay-codes", {**body, "debit_account": "nobody"})
    assert told(nobody) == (422, "account_unknown")


@pytest.mark.parametrize(
    "change",
    [
        {"mode": "hold"},
        {"execute_at": "2099-01-01T00:00:00Z"},
        {"hold_timeout_s": 5},
        {"pay_code": 5},
        {"postings": []},
    ],
    ids=str,
)
def test_a_payment_by_code_has_one_posting_now(till: Till, change: dict[str, Any]) -> None:
    answer = till.api.post("/v1/payments", {**by_code("1", till.shop), **change})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("change", [{"debit": "x"}, {"amount": "all"}, {"amount": {"up_to": 5}}])
def test_its_posting_has_no_debit_and_an_amount(till: Till, change: dict[str, Any]) -> None:
    body = by_code("1", till.shop)
    body["postings"] = [{**body["postings"][0], **change}]
    assert till.api.post("/v1/payments", body).status_code == 400
    two = by_code("1", till.shop)
    assert (
        till.api.post("/v1/payments", {**two, "postings": two["postings"] * 2}).status_code == 400
    )


def test_a_null_code_is_none(till: Till) -> None:
    posting = {"debit": till.payer, "credit": till.shop, "amount": 1, "currency": "EUR"}
    answer = till.api.post("/v1/payments", {"pay_code": None, "postings": [posting]})
    assert told(answer) == (201, "settled")
    without = by_code("1", till.shop) | {"pay_code": None}
    missing = till.api.post("/v1/payments", without).json()
    assert missing["errors"][0] == {
        "pointer": "/postings/0/debit",
        "code": "missing",
        "detail": "This member is required.",
    }


def test_lines_of_a_bulk_may_have_a_code(till: Till) -> None:
    code = till.issue()["code"]
    lines = [
        {"idempotency_key": f"{till.payer}-{n}", **by_code(text, till.shop)}
        for n, text in enumerate((code, code, "1"))
    ]
    body = "\n".join(json.dumps(line) for line in lines).encode()
    answer = till.api.send(
        "POST",
        "/v1/payments/bulk",
        content=body,
        headers={"Content-Type": "application/x-ndjson"},
    )
    told_lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["status"] for line in told_lines] == [201, 422, 422]
    assert {line["code"] for line in told_lines[1:]} == {"pay_code_invalid"}


def _scanned(content: bytes) -> str:
    (found,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(content)))
    return str(found.text)


def _tapped(content: bytes) -> str:
    (record,) = ndef.message_decoder(content)
    return str(record.uri).removeprefix("tally:pay?c=")


CARRIED: dict[str, tuple[str, Callable[[bytes], str]]] = {
    "as=qr": ("image/png", _scanned),
    "as=barcode&image=png": ("image/png", _scanned),
    "as=ndef": ("application/octet-stream", _tapped),
}


@pytest.mark.parametrize("query", CARRIED)
def test_a_carrier_carries_the_digits(till: Till, query: str) -> None:
    media_type, scan = CARRIED[query]
    made = till.issue()
    answer = till.api.get(f"/v1/pay-codes/{made['id']}/carrier?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
    assert scan(answer.content) == made["code"]


@pytest.mark.parametrize("query", ["as=wav", "as=qr&image=svg", "as=barcode&image=svg"])
def test_other_carriers_are_of_their_type(till: Till, query: str) -> None:
    answer = till.api.get(f"/v1/pay-codes/{till.issue()['id']}/carrier?{query}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == ("audio/wav" if "wav" in query else "image/svg+xml")


def test_a_carrier_is_for_whoever_made_the_code_until_it_is_over(till: Till) -> None:
    made = till.issue()
    path = f"/v1/pay-codes/{made['id']}/carrier"
    other = {"Authorization": f"Bearer {make_key(till.api.store, 'client', 'another')}"}
    refused = till.api.get(path, role=None, headers=other)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert till.api.get(path, role="admin").status_code == 403
    till.pay(made["code"])
    end = till.api.get("/v1/status").json()["end"]
    gone = till.api.get(path, min_position=end)
    assert (gone.status_code, gone.json()["code"]) == (410, "gone")
    unknown = till.api.get("/v1/pay-codes/7a1f3c55-1d2e-5b8a-9c40-2e6b7d8f9a10/carrier")
    assert unknown.status_code == 404


def test_a_used_code_is_carried_no_more_though_the_read_model_is_behind(till: Till) -> None:
    made = till.issue()
    path = f"/v1/pay-codes/{made['id']}/carrier"
    assert till.api.get(path, min_position=made["position"]).status_code == 200
    till.api.workers.stop()
    till.pay(made["code"])
    gone = till.api.get(path)
    till.api.workers.start()
    assert (gone.status_code, gone.json()["code"]) == (410, "gone")


def test_the_sweeper_records_that_a_code_is_over(till: Till, hands: Clock) -> None:
    made = till.issue(expires_in_s=10)
    hands.later(seconds=10)
    for _ in range(200):
        answer = till.api.get(
            "/v1/events", role="auditor", type="tally.pay_code.expired.v1", limit=500
        )
        if made["id"] in [event["stream"] for event in answer.json()["items"]]:
            break
        time.sleep(0.05)
    else:
        pytest.fail("nobody recorded it")
