"""Payments by the short way are answered as by the long one; a pointless query makes it long."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.fixtures.fix_api import Api, one_posting

LONG = "/v1/payments?dry_run=false"
SHORT = "/v1/payments"


@pytest.fixture
def town(api: Api) -> Api:
    api.open("cash", normal_side="debit", overdraft_limit=None)
    api.open("alice", "bob", "cold")
    api.post("/v1/accounts/cold/freeze", {"reason": "why"}, role="admin")
    assert api.pay("cash", "alice", 1_000).status_code == 201
    return api


def told(answer: Any) -> Any:
    """All but what is another's, or another time's."""
    body = {
        name: value
        for name, value in answer.json().items()
        if name not in ("id", "payment_id", "request_id", "refund_of")
        and name not in ("position", "created_at", "balances")
        and not name.endswith("expires_at")
    }
    headers = dict(answer.headers)
    for name in ("date", "x-request-id", "content-length"):
        headers.pop(name)
    return answer.status_code, headers, body


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (one_posting("alice", "bob", 1), {}),
        ({**one_posting("alice", "bob", 1), "reference": "é", "metadata": {"a": "b"}}, {}),
        ({**one_posting("alice", "bob", 1), "mode": "hold", "hold_timeout_s": 60}, {}),
        (one_posting("alice", "bob", 5_000), {}),
        (one_posting("alice", "cold", 1), {}),
        (one_posting("alice", "nobody", 1), {}),
        (one_posting("alice", "bob", "1"), {}),
        (one_posting("alice", "bob", 1), {"Content-Type": "text/plain"}),
        (one_posting("alice", "bob", 1), {"Authorization": "Bearer tk_nobody"}),
        (one_posting("alice", "bob", 1), {"Authorization": "Basic YTpi"}),
        (one_posting("alice", "bob", 1), {"Idempotency-Key": "no good"}),
        (one_posting("alice", "bob", 1), {"Expect": "100-continue"}),
        (one_posting("alice", "bob", 1), {"Connection": "close"}),
    ],
)
def test_both_ways_answer_alike(town: Api, body: Any, headers: Any) -> None:
    sent = {"Content-Type": "application/json", **headers}
    content = json.dumps(body).encode()
    short, long = (
        told(town.send("POST", path, content=content, headers=sent)) for path in (SHORT, LONG)
    )
    assert short == long


@pytest.mark.parametrize("role", ["admin", "auditor"])
def test_both_ways_refuse_who_may_not_pay(town: Api, role: str) -> None:
    body = one_posting("alice", "bob", 1)
    short, long = (told(town.post(path, body, role=role)) for path in (SHORT, LONG))
    assert short == long
    assert short[0] == 403


@pytest.mark.parametrize(
    ("step", "body"),
    [
        ("capture", {}),
        ("capture", {"amount": 3, "final": False}),
        ("capture", {"amount": 11}),
        ("capture", {"amount": 0}),
        ("void", {}),
        ("void", {"amount": 3}),
        ("refunds", {"amount": 3}),
    ],
)
@pytest.mark.parametrize("mode", ["hold", "settle"])
def test_both_ways_take_the_same_steps(town: Api, mode: str, step: str, body: Any) -> None:
    answers = []
    for query in ("", "?dry_run=false"):
        payment = town.post(SHORT, {**one_posting("alice", "bob", 10), "mode": mode}).json()["id"]
        path = f"/v1/payments/{payment}/{step}{query}"
        first, again = (town.post(path, body, key=f"{payment}-once") for _ in range(2))
        assert again.json() | {"request_id": ""} == first.json() | {"request_id": ""}
        answers.append((told(first), told(again)))
    assert answers[0] == answers[1]
    status, headers, _ = answers[0][1]
    assert status == 400 or headers["idempotent-replayed"] == "true"


def test_a_step_of_no_payment_is_refused_on_both_ways(town: Api) -> None:
    path = "/v1/payments/907b348d-01bd-505b-bd56-4dc9fbcdc328/capture"
    short, long = (told(town.post(path + query, {})) for query in ("", "?dry_run=false"))
    assert short == long
    assert short[0] == 404


def test_a_key_means_the_same_on_both_ways(town: Api) -> None:
    body = one_posting("alice", "bob", 1)
    first = town.post(SHORT, body, key="once")
    for path in (LONG, SHORT):
        again = town.post(path, body, key='"once"')
        assert again.headers["Idempotent-Replayed"] == "true"
        assert again.json() == first.json()
        other = town.post(path, one_posting("alice", "bob", 2), key="once")
        assert other.json()["code"] == "idempotency_key_reused"


def raw(api: Api, key: str, **headers: str) -> bytes:
    body = json.dumps(one_posting("alice", "bob", 1))
    sent = {
        "Host": "here",
        "Authorization": f"Bearer {api.keys['client']}",
        "Content-Type": "application/json",
        "Idempotency-Key": key,
        "Content-Length": str(len(body)),
        **headers,
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    return f"POST /v1/payments HTTP/1.1\r\n{lines}\r\n{body}".encode()


def statuses(api: Api, *pieces: bytes) -> list[bytes]:
    """Of all answers on one connection, which the last request ends."""
    address = urlsplit(api.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            line.sendall(piece)
        received = b""
        while chunk := line.recv(65536):
            received += chunk
    return [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]]


def test_requests_on_one_line_are_answered_in_order(town: Api) -> None:
    """Sent before the first is answered: those behind it wait, whichever way they go."""
    several = raw(town, "p1") + raw(town, "p2") + raw(town, "p 3") + raw(town, "p4")
    last = raw(town, "p1", Connection="close")
    assert statuses(town, several + last) == [b"201", b"201", b"400", b"201", b"201"]
    after = town.pay("alice", "bob", 1).json()
    (posted,) = [each["posted"] for each in after["balances"] if each["account"] == "bob"]
    assert posted == 3 + 1


def test_a_request_may_come_by_the_byte(town: Api) -> None:
    whole = raw(town, "slowly", Connection="close")
    assert statuses(town, *(whole[n : n + 1] for n in range(len(whole)))) == [b"201"]


def test_a_client_that_leaves_is_paid_for_all_the_same(town: Api) -> None:
    address = urlsplit(town.url)
    with socket.create_connection((address.hostname, address.port)) as line:
        line.sendall(raw(town, "gone"))
    again = town.pay("alice", "bob", 1, key="gone")
    assert again.status_code == 201


def test_what_is_large_goes_the_long_way(town: Api) -> None:
    """More than the short way keeps, less than the contract's bound; then more than that."""
    for size, status in ((20_000, 201), (300_000, 413)):
        content = json.dumps(one_posting("alice", "bob", 1)).encode() + b" " * size
        answer = town.send("POST", SHORT, content=content)
        assert answer.status_code == status
