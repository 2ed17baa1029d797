"""What is no request of ours: each gets the contract's error, and no value sent comes back."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fixtures.fix_api import Api, one_posting

GOOD = one_posting("cash", "alice", 5)


VERSION: dict[str, Any] = {"account": "cash", "version": 1}
BALANCE: dict[str, Any] = {"account": "cash", "balance": "posted", "op": "eq", "amount": 0}


def payment(**members: Any) -> dict[str, Any]:
    return {**GOOD, **members}


def amount(text: str) -> bytes:
    return json.dumps(one_posting("cash", "alice", 5)).replace("5", text).encode()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"{", id="cut off"),
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b"null", id="null"),
        pytest.param(b"\xff\xfe{}", id="another encoding"),
        pytest.param(b'{"reference": "\xff"}', id="no UTF-8"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
        pytest.param(b"[" * 10_000, id="10,000 deep"),
        pytest.param(b'{"metadata":' * 10_000 + b"1" + b"}" * 10_000, id="10,000 objects deep"),
        pytest.param(b'{"postings": NaN}', id="NaN"),
        pytest.param(b'{"postings": 1' + b"0" * 5_000 + b"}", id="a number of 5,001 digits"),
    ],
)
def test_what_is_no_json_object_is_refused(shared_api: Api, content: bytes) -> None:
    answer = shared_api.post("/v1/payments", content=content)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        (payment(colour="red"), "/colour", "unknown_member"),
        (payment(**{"a/b~c": None}), "/a~1b~0c", "unknown_member"),
        (payment(pay_code="4000"), "/postings/0/debit", "unknown_member"),
        (payment(mode="later"), "/mode", "not_allowed"),
        (payment(hold_timeout_s=60), "/hold_timeout_s", "wrong_format"),
        (payment(mode="settle", hold_timeout_s=60), "/hold_timeout_s", "wrong_format"),
        (payment(mode="hold", hold_timeout_s=0), "/hold_timeout_s", "too_small"),
        (payment(mode="hold", hold_timeout_s=2_592_001), "/hold_timeout_s", "too_large"),
        (payment(mode="hold", hold_timeout_s=60.0), "/hold_timeout_s", "wrong_type"),
        (payment(mode="hold", execute_at="2999-11-24T00:00:00Z"), "/execute_at", "wrong_format"),
        (payment(execute_at="2026-11-24T00:00:00"), "/execute_at", "wrong_format"),
        (payment(execute_at="2026-11-24T00:00:00+00:00"), "/execute_at", "wrong_format"),
        (payment(execute_at="2026-11-24T24:00:00Z"), "/execute_at", "wrong_format"),
        (payment(execute_at=1_795_000_000), "/execute_at", "wrong_type"),
        (payment(execute_at="2020-11-24T00:00:00Z"), "/execute_at", "out_of_range"),
        (payment(execute_at="2999-11-24T00:00:00Z"), "/execute_at", "out_of_range"),
        (payment(conditions={}), "/conditions", "wrong_type"),
        (payment(conditions=[5]), "/conditions/0", "wrong_type"),
        (payment(conditions=[{"account": "a"}]), "/conditions/0/balance", "missing"),
        (payment(conditions=[VERSION, BALANCE | {"op": "ne"}]), "/conditions/1/op", "not_allowed"),
        (payment(conditions=[BALANCE | {"amount": 1.5}]), "/conditions/0/amount", "wrong_type"),
        (payment(conditions=[VERSION | {"version": "1"}]), "/conditions/0/version", "wrong_type"),
        (payment(conditions=[VERSION | BALANCE]), "/conditions/0/balance", "unknown_member"),
        (payment(conditions=[VERSION] * 101), "/conditions", "too_long"),
        (payment(carrier="pigeon"), "/carrier", "not_allowed"),
        (payment(reference="x" * 65), "/reference", "too_long"),
        (payment(reference="a\0b"), "/reference", "wrong_format"),
        (payment(reference="\ud800"), "/reference", "wrong_format"),
        (payment(reference=5), "/reference", "wrong_type"),
        (payment(value_date="2026-02-30"), "/value_date", "wrong_format"),
        (payment(value_date="20261123"), "/value_date", "wrong_format"),
        (payment(value_date=20261123), "/value_date", "wrong_type"),
        (payment(metadata={"a": 1}), "/metadata", "wrong_type"),
        (payment(metadata={"": "x"}), "/metadata", "too_short"),
        (payment(metadata={"x" * 65: "x"}), "/metadata", "too_long"),
        (payment(metadata={"x": "x" * 257}), "/metadata", "too_long"),
        (payment(metadata={str(n): "x" for n in range(17)}), "/metadata", "too_long"),
        (payment(postings=None), "/postings", "wrong_type"),
        (payment(postings=[]), "/postings", "too_short"),
        (payment(postings=GOOD["postings"] * 101), "/postings", "too_long"),
        ({}, "/postings", "missing"),
        (one_posting("cash", "alice", 5, "XAU"), "/postings/0/currency", "wrong_format"),
        (one_posting("cash", "alice", 5, "eur"), "/postings/0/currency", "wrong_format"),
        (one_posting("cash", ":alice", 5), "/postings/0/credit", "wrong_format"),
        (one_posting("cash", "alice\n", 5), "/postings/0/credit", "wrong_format"),
        (one_posting("cash", "é", 5), "/postings/0/credit", "wrong_format"),
        (one_posting("cash", "x" * 65, 5), "/postings/0/credit", "wrong_format"),
        (one_posting("cash", "alice", "5"), "/postings/0/amount", "wrong_type"),
        (one_posting("cash", "alice", "ALL"), "/postings/0/amount", "wrong_type"),
        (one_posting("cash", "alice", {}), "/postings/0/amount/up_to", "missing"),
        (one_posting("cash", "alice", {"up_to": 0}), "/postings/0/amount/up_to", "too_small"),
        (one_posting("cash", "alice", {"up_to": 2**53}), "/postings/0/amount/up_to", "too_large"),
        (one_posting("cash", "alice", {"up_to": "all"}), "/postings/0/amount/up_to", "wrong_type"),
        (one_posting("cash", "alice", {"all": 1}), "/postings/0/amount/all", "unknown_member"),
        (one_posting("cash", "alice", True), "/postings/0/amount", "wrong_type"),
        (one_posting("cash", "alice", 5.5), "/postings/0/amount", "wrong_type"),
        (one_posting("cash", "alice", None), "/postings/0/amount", "wrong_type"),
        (one_posting("cash", "alice", 0), "/postings/0/amount", "too_small"),
        (one_posting("cash", "alice", -5), "/postings/0/amount", "too_small"),
        (one_posting("cash", "alice", 2**53), "/postings/0/amount", "too_large"),
        (one_posting("cash", "alice", 10**4000), "/postings/0/amount", "too_large"),
    ],
)
def test_a_member_at_fault_is_pointed_at(
    shared_api: Api, body: dict[str, Any], pointer: str, code: str
) -> None:
    answer = shared_api.post("/v1/payments", content=json.dumps(body).encode())
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (400, "invalid_request")
    assert (pointer, code) in [(one["pointer"], one["code"]) for one in problem["errors"]]


@pytest.mark.parametrize("text", ["10.0", "1e3", "1E3", '"10"', "true", "1e400", "-0.0"])
def test_an_amount_is_an_integer_as_json_writes_one(shared_api: Api, text: str) -> None:
    answer = shared_api.post("/v1/payments", content=amount(text))
    (error,) = answer.json()["errors"]
    assert error["pointer"] == "/postings/0/amount"


@pytest.mark.parametrize(
    ("content", "pointer"),
    [
        (b'{"currency": "EUR", "currency": "EUR"}', "/currency"),
        (b'{"postings": [{"debit": "a"}, {"debit": "a", "debit": "b"}]}', "/postings/1/debit"),
        (b'{"a": [[], [{"b": {"c": 1, "c": 2}}]], "a": 1}', "/a/1/0/b/c"),
        # Names in metadata are values sent.
        (b'{"currency": "EUR", "metadata": {"currency": "a", "currency": "a"}}', "/metadata"),
    ],
)
def test_a_member_given_twice_is_refused_where_it_stands(
    shared_api: Api, content: bytes, pointer: str
) -> None:
    (error,) = shared_api.post("/v1/accounts", content=content).json()["errors"]
    assert (error["pointer"], error["code"]) == (pointer, "duplicate_member")


def test_values_sent_in_never_come_back(shared_api: Api) -> None:
    secret = "4000123412341234"
    body = payment(
        reference=secret + "x" * 64,
        value_date=secret,
        metadata={secret + "y" * 64: secret, "a": [secret]},
        mode=secret,
        carrier=secret,
        execute_at=secret,
        conditions=[{"account": "a", "balance": secret, "op": secret, "amount": secret}],
    )
    body["postings"] = [{"debit": ":" + secret, "credit": 5, "amount": secret, "currency": secret}]
    answer = shared_api.post("/v1/payments", body)
    assert answer.status_code == 400
    assert secret not in answer.text
    for name in ("limit", "cursor", "created_from", "min_position", "state"):
        answer = shared_api.get("/v1/payments", **{name: secret + "z"})
        assert answer.status_code == 400
        assert secret not in answer.text


def test_a_body_of_10_mb_is_too_large(shared_api: Api) -> None:
    answer = shared_api.post("/v1/payments", content=b" " * 10_000_000)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_a_body_that_does_not_say_how_long_it_is_is_bounded_too(shared_api: Api) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 10_000

    answer = shared_api.http.post(
        "/v1/payments",
        content=chunks(),
        headers={
            "Authorization": f"Bearer {shared_api.keys['client']}",
            "Idempotency-Key": "k",
            "Content-Type": "application/json",
        },
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_a_body_of_256_kib_is_not_too_large(shared_api: Api) -> None:
    content = json.dumps(payment(colour="red")).encode()
    answer = shared_api.post("/v1/payments", content=content.ljust(256 * 1024))
    assert answer.status_code == 400
    assert shared_api.post("/v1/payments", content=content.ljust(256 * 1024 + 1)).status_code == 413


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1"],
)
def test_a_body_of_another_type_is_refused(shared_api: Api, content_type: str) -> None:
    answer = shared_api.post(
        "/v1/payments", content=json.dumps(GOOD).encode(), headers={"Content-Type": content_type}
    )
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("content_type", ["application/json; charset=UTF-8", "Application/JSON"])
def test_json_has_several_spellings(shared_api: Api, content_type: str) -> None:
    answer = shared_api.post("/v1/payments", content=b"{}", headers={"Content-Type": content_type})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, "idempotency_key_missing"),
        ("a b", "invalid_request"),
        ("x" * 256, "invalid_request"),
        ('""', "invalid_request"),
        ("é".encode("latin-1"), "invalid_request"),
    ],
)
def test_a_key_is_1_to_255_visible_characters(shared_api: Api, key: Any, code: str) -> None:
    answer = shared_api.post("/v1/payments", GOOD, key=key)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/v1/accounts?colour=red", "colour"),
        ("/v1/accounts?limit=5&limit=5", "limit"),
        ("/v1/accounts?limit=0", "limit"),
        ("/v1/accounts?limit=501", "limit"),
        ("/v1/accounts?limit=1_0", "limit"),
        ("/v1/accounts?limit=%205", "limit"),
        ("/v1/accounts?limit=5.0", "limit"),
        ("/v1/accounts?limit=", "limit"),
        ("/v1/accounts?prefix=%00", "prefix"),
        ("/v1/accounts?status=odd", "status"),
        ("/v1/accounts?currency=XAU", "currency"),
        ("/v1/accounts?min_position=-1", "min_position"),
        ("/v1/accounts/alice?as_of_position=5", "as_of_position"),
        ("/v1/accounts/alice/balance?as_of=2026-11-23T09:30:00", "as_of"),
        ("/v1/accounts/alice/balance?as_of=2026-11-23T09:30:00%2B01:00", "as_of"),
        ("/v1/accounts/alice/balance?as_of=2999-11-23T09:30:00Z", "as_of"),
        ("/v1/accounts/alice/balance?as_of_position=1&as_of=2026-11-23T09:30:00Z", "as_of"),
        ("/v1/accounts/alice/balance?effective_at=2026-13-01", "effective_at"),
        ("/v1/accounts/alice/balance?effective_at=10000-01-01", "effective_at"),
        ("/v1/accounts/alice/statement?to=2026-11-01", "from"),
        ("/v1/accounts/alice/statement?from=2026-11-02&to=2026-11-01", "from"),
        ("/v1/payments?dry_run=true", "dry_run"),
        ("/v1/payments?reference=%00", "reference"),
        ("/v1/payments?state=odd", "state"),
        ("/v1/status?verbose=1", "verbose"),
    ],
)
def test_a_query_parameter_at_fault_is_named(shared_api: Api, path: str, parameter: str) -> None:
    answer = shared_api.get(path)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (400, "invalid_request")
    assert parameter in [error["parameter"] for error in problem["errors"]]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v1/payments/",
        "/v1/payments/0f7d2c9e-6a53-5a0b-9d44-0c5a3a0f7b11",
        "/v1/payments/0F7D2C9E-6A53-5A0B-9D44-0C5A3A0F7B11",
        "/v1/payments/nothing",
        "/v1/accounts/nobody",
        "/v1/accounts/nobody/balance",
        "/v1/accounts/nobody/statement?from=2026-11-01&to=2026-12-01",
        "/v1/accounts/%00",
        "/v1/accounts/%FF",
        "/v1/accounts/a%2Fb",
        "/v1/accounts/" + "x" * 65,
        "/v1/payment-request",
        "/v1/payment-requests/nothing",
        "/p/nothing",
    ],
)
def test_what_does_not_exist_is_not_found(shared_api: Api, path: str) -> None:
    answer = shared_api.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/v1/accounts", "GET, POST"),
        ("PUT", "/v1/accounts/alice", "GET, PATCH"),
        ("GET", "/v1/accounts/alice/freeze", "POST"),
        ("GET", "/v1/payments/nothing/refunds", "POST"),
        ("GET", "/v1/payments/bulk", "POST"),
        ("PUT", "/v1/payments/bulk?dry_run=true", "POST"),
        ("OPTIONS", "/v1/payments", "GET, POST"),
        ("TRACE", "/v1/payments", "GET, POST"),
    ],
)
def test_another_method_is_refused_with_those_there_are(
    shared_api: Api, method: str, path: str, allowed: str
) -> None:
    answer = shared_api.send(method, path)
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == allowed


def test_the_clients_request_id_comes_back_where_it_is_safe(shared_api: Api) -> None:
    answer = shared_api.get("/v1/nothing", headers={"X-Request-Id": "order-17:try.2"})
    assert answer.headers["X-Request-Id"] == answer.json()["request_id"] == "order-17:try.2"
    for unsafe in ("a b", "x" * 65, 'x"y'):
        answer = shared_api.get("/v1/status", headers={"X-Request-Id": unsafe})
        assert answer.headers["X-Request-Id"] not in ("", unsafe)


def test_a_client_that_hangs_up_within_a_body_harms_nobody(shared_api: Api) -> None:
    host = shared_api.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=5)
    connection.putrequest("POST", "/v1/payments")
    connection.putheader("Authorization", f"Bearer {shared_api.keys['client']}")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b'{"postings"')
    connection.close()
    assert shared_api.get("/livez").status_code == 200
