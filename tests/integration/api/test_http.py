"""What is odd on the line, below the API: it costs its client alone, and changes no meaning."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import pytest

from api import history, http_protocol
from tests.fixtures.fix_api import Api, one_posting
from tests.fixtures.fix_tally import until

H2C = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAA\r\n"
JSON = "Content-Type: application/json\r\n"


@pytest.fixture
def town(api: Api) -> Api:
    api.open("cash", normal_side="debit", overdraft_limit=None)
    api.open("alice", "bob")
    assert api.pay("cash", "alice", 1_000).status_code == 201
    return api


def line(api: Api) -> socket.socket:
    address = urlsplit(api.url)
    made = socket.create_connection((address.hostname, address.port), timeout=20)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def all_of(open_line: socket.socket) -> bytes:
    """Until the other side closes."""
    received = b""
    with suppress(ConnectionResetError):  # what we sent was not all read
        while chunk := open_line.recv(65536):
            received += chunk
    return received


def answers(api: Api, *sent: bytes) -> list[tuple[int, Any]]:
    """Statuses and bodies of all answers on one line, which the other side closes."""
    with line(api) as open_line:
        with suppress(BrokenPipeError, ConnectionResetError):  # it has heard enough
            for piece in sent:
                open_line.sendall(piece)
                time.sleep(0.02)  # a packet of its own
        received = all_of(open_line)
    parts = [part.partition(b"\r\n\r\n") for part in received.split(b"HTTP/1.1 ")[1:]]
    return [
        (int(head[:3]), json.loads(body) if body.startswith(b"{") else body)
        for head, _, body in parts
    ]


def head(api: Api, method: str, path: str, lines: str = "", *, role: str = "client") -> bytes:
    key = f"Authorization: Bearer {api.keys[role]}\r\n"
    return f"{method} {path} HTTP/1.1\r\nHost: here\r\n{key}{lines}\r\n".encode()


def command(
    api: Api, path: str, body: Any, key: str, lines: str = "", *, method: str = "POST"
) -> bytes:
    content = json.dumps(body).encode()
    lines = f"{JSON}Idempotency-Key: {key}\r\nContent-Length: {len(content)}\r\n{lines}"
    role = "admin" if method == "PATCH" else "client"
    return head(api, method, path, lines, role=role) + content


def closing(lines: str = "") -> str:
    return f"{lines}Connection: close\r\n"


# What is no HTTP ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent",
    [
        b"FOO /v1/accounts HTTP/1.1\r\n\r\n",
        "GET /v1/ä HTTP/1.1\r\n\r\n".encode(),
        b"CONNECT here:80 HTTP/1.1\r\nHost: here:80\r\n\r\n",
        b"POST /v1/payments HTTP/1.1\r\nContent-Length: abc\r\n\r\n",
        b"POST /v1/payments HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n",
        b"POST /v1/accounts HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n",
    ],
)
def test_what_is_no_http_is_told_as_any_other_problem(town: Api, sent: bytes) -> None:
    ((status, problem),) = answers(town, sent)
    assert (status, problem["code"]) == (400, "invalid_request")
    assert problem["request_id"]


@pytest.mark.parametrize("query", ["", "?dry_run=false"])
@pytest.mark.parametrize("junk", [b" ", b"}", b"\0", b"FOO / HTTP/1.1\r\n\r\n"])
def test_what_follows_a_command_changes_nothing_of_its_answer(
    town: Api, query: str, junk: bytes
) -> None:
    """Told in its place, "nothing was done" would be of what is recorded."""
    path = f"/v1/payments{query}"
    first = command(town, path, one_posting("alice", "bob", 1), "first")
    second = command(town, path, one_posting("alice", "bob", 2), "second")
    assert [status for status, _ in answers(town, first + junk)] == [201]
    assert [status for status, _ in answers(town, first + second + junk)] == [201, 201]


@pytest.mark.parametrize("path", ["/v1/payments", "/v1/accounts"])
@pytest.mark.parametrize("query", ["", "?dry_run=false"])
def test_a_request_with_a_malformed_body_costs_no_other_its_answer(
    town: Api, path: str, query: str
) -> None:
    first = command(town, f"/v1/payments{query}", one_posting("alice", "bob", 1), "first")
    second = command(town, f"/v1/payments{query}", one_posting("alice", "bob", 2), "second")
    broken = f"{JSON}Idempotency-Key: k\r\nTransfer-Encoding: chunked\r\n"
    last = head(town, "POST", path, broken) + b"no number\r\n"
    assert [status for status, _ in answers(town, first + last)] == [201]
    assert [status for status, _ in answers(town, first + second + last)] == [201, 201]


def test_a_request_is_answered_once(town: Api) -> None:
    """Early, as its key is nobody's; what its body turns out to be adds nothing."""
    sent = b"POST /nowhere HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert [status for status, _ in answers(town, sent, b"no number\r\n")] == [404]


# Offers to upgrade --------------------------------------------------------------------------


def test_an_offer_to_upgrade_changes_no_meaning(town: Api) -> None:
    """As Java's client makes it by default. The parser would leave out the body."""
    lines = closing(H2C)
    posting = one_posting("alice", "bob", 100)
    ((status, paid),) = answers(town, command(town, "/v1/payments", posting, "p", lines))
    assert (status, paid["state"]) == (201, "settled")
    refund = command(town, f"/v1/payments/{paid['id']}/refunds", {"amount": 1}, "r", lines)
    ((status, refunded),) = answers(town, refund)
    assert (status, refunded["postings"][0]["amount"]) == (201, 1)
    limit = command(town, "/v1/accounts/bob", {"max_balance": 500}, "l", lines, method="PATCH")
    ((status, account),) = answers(town, limit)
    assert (status, account["max_balance"]) == (200, 500)
    bulk = json.dumps({**posting, "idempotency_key": "line"}).encode()
    sent = f"Content-Type: application/x-ndjson\r\nContent-Length: {len(bulk)}\r\n{lines}"
    ((status, told),) = answers(town, head(town, "POST", "/v1/payments/bulk", sent) + bulk)
    assert status == 200
    assert b'"status":201' in told


@pytest.mark.parametrize("offer", [H2C, "Connection: close, upgrade\r\nUpgrade: websocket\r\n"])
def test_a_body_after_an_offer_to_upgrade_is_no_request(town: Api, offer: str) -> None:
    inner = command(town, "/v1/payments", one_posting("alice", "bob", 100), "smuggled")
    sent = f"{closing(offer)}{JSON}Idempotency-Key: k\r\nContent-Length: {len(inner)}\r\n"
    for pieces in ((b"", inner), (inner, b""), (inner[:9], inner[9:])):
        outer = head(town, "POST", "/v1/accounts", sent)
        ((status, problem),) = answers(town, outer + pieces[0], pieces[1])
        assert (status, problem["errors"][0]["code"]) == (400, "not_json")
    again = town.pay("alice", "bob", 100, key="smuggled")
    assert "Idempotent-Replayed" not in again.headers


def test_offers_may_be_many(town: Api) -> None:
    """More on a line than calls may go into one another."""
    ask = head(town, "GET", "/livez", H2C)
    told = answers(town, ask * 900 + head(town, "GET", "/livez", closing()))
    assert [status for status, _ in told] == [200] * 901


def test_a_line_goes_on_after_an_offer_to_upgrade(town: Api) -> None:
    pay = command(town, "/v1/payments", one_posting("alice", "bob", 1), "p", H2C)
    last = command(town, "/v1/payments", one_posting("alice", "bob", 1), "q", closing())
    assert [status for status, _ in answers(town, pay + pay + last)] == [201, 201, 201]


# Trailers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("in_head", "in_trailer", "status"),
    [
        ("Idempotency-Key: k\r\n", "Authorization: Bearer KEY\r\n", 401),
        ("Authorization: Bearer KEY\r\n", "Idempotency-Key: k\r\n", 400),
        ("Authorization: Bearer KEY\r\nIdempotency-Key: k\r\n", "Authorization: x\r\n", 201),
    ],
)
def test_trailers_are_no_headers(town: Api, in_head: str, in_trailer: str, status: int) -> None:
    content = json.dumps(one_posting("alice", "bob", 1))
    sent = (
        f"POST /v1/payments HTTP/1.1\r\nHost: here\r\n{JSON}{closing()}{in_head}"
        "Transfer-Encoding: chunked\r\n\r\n"
        f"{len(content):x}\r\n{content}\r\n0\r\n{in_trailer}\r\n"
    ).replace("KEY", town.keys["client"])
    assert [each for each, _ in answers(town, sent.encode())] == [status]


# What does not end --------------------------------------------------------------------------

_WITHOUT_END = {
    "a header": (b"GET /livez HTTP/1.1\r\nX: ", b"a"),
    "headers": (b"GET /livez HTTP/1.1\r\n", b"a: b\r\n"),
    "a path": (b"GET /", b"a"),
    "a trailer": (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", b"a"),
    "of a chunk": (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;", b"a"),
}


@pytest.mark.parametrize("kind", _WITHOUT_END)
def test_what_has_no_end_is_shut_out(town: Api, kind: str) -> None:
    begins, goes_on = _WITHOUT_END[kind]
    piece, sent = goes_on * (16 * 1024 // len(goes_on)), 0
    with line(town) as open_line:
        open_line.sendall(begins)
        with suppress(BrokenPipeError, ConnectionResetError):
            while sent < 64 * http_protocol.MAX_HEAD:
                open_line.sendall(piece)
                sent += len(piece)
        all_of(open_line)
    assert sent < 64 * http_protocol.MAX_HEAD
    assert town.get("/livez", role=None).status_code == 200


def test_a_long_head_is_taken_and_a_longer_one_told(town: Api) -> None:
    def asked(size: int) -> list[tuple[int, Any]]:
        long = f"X-Long: {'x' * size}\r\n"
        return answers(town, *_pieces(head(town, "GET", "/v1/status", closing(long))))

    assert [status for status, _ in asked(50_000)] == [200]
    ((status, problem),) = asked(2 * http_protocol.MAX_HEAD)
    assert (status, problem["code"]) == (400, "invalid_request")


def _pieces(sent: bytes) -> Iterator[bytes]:
    yield from (sent[n : n + 16_384] for n in range(0, len(sent), 16_384))


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"\r\n\r\n",
        b"GET /livez HT",
        b"GET /livez HTTP/1.1\r\nHost: here\r\n",
        b"POST /v1/payments HTTP/1.1\r\nContent-Length: 9\r\n\r\n{",
        b"POST /v1/accounts HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n\r\nGET /li",
    ],
)
def test_a_client_that_does_not_go_on_is_closed(
    town: Api, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(http_protocol, "IDLE_S", 0.1)
    monkeypatch.setattr(http_protocol, "GOES_ON_S", 0.1)
    with line(town) as open_line:
        open_line.sendall(begun)
        received = all_of(open_line)  # it ends, within the socket's time
    assert len(re.findall(b"HTTP/1.1 200", received)) == begun.count(b"\r\n\r\n\r\nGET")


def test_who_waits_for_us_is_not_closed(town: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "GOES_ON_S", 0.1)
    live = head(town, "GET", "/v1/events", "Accept: text/event-stream\r\n", role="auditor")
    with line(town) as following:
        following.sendall(live)
        time.sleep(2.5)
        town.open("carol")
        deadline, received = time.monotonic() + 20, b""
        while b"carol" not in received and time.monotonic() < deadline:
            received += following.recv(65536)
    assert b"carol" in received


def test_who_asks_far_ahead_is_answered_in_order(town: Api) -> None:
    paying = [
        command(town, "/v1/payments", one_posting("alice", "bob", 1), f"k{n}") for n in range(900)
    ]
    last = command(town, "/v1/payments", one_posting("alice", "bob", 1), "last", closing())
    paid = answers(town, b"".join(paying) + last)
    assert [body["balances"][1]["posted"] for _, body in paid] == [*range(1, 902)]


def test_of_who_asks_too_far_ahead_no_more_is_kept(
    town: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a read brings is taken apart at once; what goes beyond is to be asked again."""
    monkeypatch.setattr(http_protocol, "MAX_AHEAD", 50)
    told = answers(town, head(town, "GET", "/livez") * 1_900)
    assert {status for status, _ in told} == {200}
    assert len(told) <= 52


@pytest.mark.parametrize("path", ["/openapi.json", "/v1/payments"])
def test_a_client_that_does_not_read_is_closed(
    town: Api, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(http_protocol, "READS_WITHIN_S", 0.1)
    address = urlsplit(town.url)
    with socket.socket() as open_line:
        open_line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        open_line.connect((address.hostname, address.port))
        open_line.settimeout(30)

        def ask_on() -> None:
            began = time.monotonic()
            for n in count():
                sent = head(town, "GET", path)
                if path == "/v1/payments":
                    sent = command(town, path, one_posting("alice", "bob", 1), f"k{n}")
                open_line.sendall(sent)
                if time.monotonic() - began > 30:
                    return

        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            ask_on()


def test_who_leaves_is_missed_though_more_was_asked(
    town: Api, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "KEEP_ALIVE_S", 1_000)  # it is not by writing that it is noticed
    live = head(town, "GET", "/v1/events", "Accept: text/event-stream\r\n", role="auditor")
    with line(town) as leaving:
        leaving.sendall(live + head(town, "GET", "/livez"))
        assert leaving.recv(12) == b"HTTP/1.1 200"
    until(lambda: 'route="/v1/events"' in town.get("/metrics", role=None).text)
    assert [one for one in caplog.records if one.levelname == "ERROR"] == []


def test_more_connections_than_there_is_room_for_are_shut_out_and_told_of(
    town: Api, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = town.app.state.room
    assert room.connections >= 100
    town.http.close()
    monkeypatch.setattr(room, "connections", 5)
    kept = [line(town) for _ in range(5)]
    try:
        for _ in range(3):
            with line(town) as one_more:
                assert all_of(one_more) == b""
        kept[0].sendall(head(town, "GET", "/livez", closing()))
        assert all_of(kept[0]).startswith(b"HTTP/1.1 200")
        assert [status for status, _ in answers(town, head(town, "GET", "/livez", closing()))] == [
            200
        ]
    finally:
        for each in kept:
            each.close()
    told = [one for one in caplog.messages if "connections are open" in one]
    assert told == ["5 connections are open: others are shut out"]
