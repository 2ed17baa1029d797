"""A revoked key ends what is under way: its client would draw it out for as long as it likes."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPResponse, IncompleteRead
from typing import Any

import psycopg
import pytest

from api.direct_reads import DirectReads
from application.ports import StoreUnavailable
from infrastructure.key_lookup import KeyLookup
from infrastructure.keys import list_keys, revoke_key
from tests.fixtures.fix_api import Api, clock, make_key, one_posting

BULK = "/v1/payments/bulk"
LINES = {"Content-Type": "application/x-ndjson"}
STATEMENT = "/v1/accounts/alice/statement?from=2026-01-01&to=2126-01-01"
LONG = {f"{n}".ljust(64, "-"): "x" * 256 for n in range(16)}
"""Metadata."""


@contextmanager
def begun(api: Api, method: str, path: str, role: str, **headers: str) -> Iterator[socket.socket]:
    """A request's head is sent; there is little room for what its client doesn't read."""
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        # As on a network: the server's side keeps megabytes for the segments of the loopback.
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1_400)
        line.settimeout(60)
        line.connect((api.http.base_url.host, api.http.base_url.port))
        sent = {"Host": "test", "Authorization": f"Bearer {api.keys[role]}", **headers}
        head = [f"{method} {path} HTTP/1.1", *(f"{name}: {sent[name]}" for name in sent)]
        line.sendall("\r\n".join([*head, "", ""]).encode())
        yield line


def answer_on(line: socket.socket) -> HTTPResponse:
    """The answer's head; its body is yet to be read."""
    answer = HTTPResponse(line)
    answer.begin()
    return answer


def revoke(api: Api, role: str) -> None:
    """The API has taken notice afterwards."""
    with psycopg.connect(api.store.app_dsn) as conn:
        (key_id,) = (key.key_id for key in list_keys(conn) if key.role == role)
        assert revoke_key(conn, key_id, clock=clock)
    wait_for(api, role, 401)


def wait_for(api: Api, role: str, status: int) -> None:
    while api.get("/v1/status", role=role).status_code != status:
        time.sleep(0.05)


def end(api: Api) -> int:
    return int(api.get("/v1/status").json()["end"])


def payments(count: int, **members: Any) -> list[bytes]:
    """Lines of a bulk."""
    payment = {**one_posting("cash", "alice", 1), **members}
    return [json.dumps({**payment, "idempotency_key": f"{n}"}).encode() for n in range(count)]


def paid(api: Api, lines: list[bytes]) -> list[bool]:
    """Sends them by a new key of the same caller's; whether each had been settled before."""
    api.keys["client"] = make_key(api.store, "client")
    answer = api.post(BULK, content=b"\n".join(lines), headers=LINES, key=None)
    told = [json.loads(each) for each in answer.content.splitlines()]
    assert [one["status"] for one in told] == [201] * len(lines)
    assert told[-1]["balances"][1]["posted"] == len(lines)
    return [one["replayed"] for one in told]


@pytest.fixture
def town(api: Api) -> Api:
    api.open("cash", overdraft_limit=None)
    api.open("alice")
    return api


def read_late(api: Api, lines: list[bytes], meanwhile: Callable[[], None]) -> list[Any]:
    """The answers of a bulk whose client begins to read them when something has happened."""
    body = b"\n".join(lines)
    length = {"Content-Length": f"{len(body)}"}
    with begun(api, "POST", BULK, "client", **LINES, **length) as line:
        line.sendall(body)
        answer = answer_on(line)
        meanwhile()
        told = [json.loads(each) for each in answer.read().splitlines()]
    return [(one["status"], one.get("code")) for one in told]


def test_no_further_line_of_a_bulk_is_decided(town: Api) -> None:
    lines = payments(500, metadata=LONG)
    told = read_late(town, lines, lambda: revoke(town, "client"))
    decided = told.count((201, None))
    assert 0 < decided < 500
    assert told == [(201, None)] * decided + [(401, "unauthenticated")] * (500 - decided)
    assert paid(town, lines) == [n < decided for n in range(500)]


def test_no_further_line_is_decided_where_nobody_can_say_whose_key_it_is(
    town: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(lookup: KeyLookup, key: str) -> None:
        raise StoreUnavailable

    def leave() -> None:
        monkeypatch.setattr(KeyLookup, "holder", away)
        wait_for(town, "client", 503)

    lines = payments(500, metadata=LONG)
    told = read_late(town, lines, leave)
    monkeypatch.undo()
    decided = told.count((201, None))
    assert 0 < decided < 500
    assert told == [(201, None)] * decided + [(503, "store_unavailable")] * (500 - decided)
    assert paid(town, lines) == [n < decided for n in range(500)]


@pytest.mark.parametrize("query", ["", "?atomic=true"])
def test_a_request_that_was_not_whole_yet_is_refused(town: Api, query: str) -> None:
    lines = payments(2)
    body = b"\n".join(lines)
    length = {"Content-Length": f"{len(body)}"}
    with begun(town, "POST", BULK + query, "client", **LINES, **length) as line:
        line.sendall(body[:-1])
        revoke(town, "client")
        line.sendall(body[-1:])
        answer = answer_on(line)
        assert (answer.status, json.load(answer)["code"]) == (401, "unauthenticated")
    assert not any(paid(town, lines))


def test_the_live_history_ends(town: Api) -> None:
    headers = {"Authorization": f"Bearer {town.keys['auditor']}", "Accept": "text/event-stream"}
    with town.http.stream("GET", f"/v1/events?after={end(town)}", headers=headers) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith(":")
        revoke(town, "auditor")
        town.open("bob")
        assert not any(line.startswith("id:") for line in lines)


@pytest.mark.parametrize("direct", [True, False])
def test_a_statements_export_breaks_off(
    town: Api, monkeypatch: pytest.MonkeyPatch, direct: bool
) -> None:
    """Its client is told that it has not got all of it."""
    if not direct:
        monkeypatch.setattr(DirectReads, "_call", lambda self, request: None)
    paid(town, payments(3000, reference="r" * 64))
    whole = f"{STATEMENT}&min_position={end(town)}"
    assert town.get(whole, headers={"Prefer": "wait=30"}).status_code == 200
    town.get("/v1/status", role="reporter")  # known from here on, for a moment
    with begun(town, "GET", STATEMENT, "reporter", Accept="text/csv") as line:
        answer = answer_on(line)
        revoke(town, "reporter")
        with pytest.raises(IncompleteRead) as broken:
            answer.read()
    rows = broken.value.partial.splitlines()
    assert 0 < len(rows) < 3000
