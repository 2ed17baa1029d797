"""Payments by the line: as sent singly and in order, or all or none."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import psycopg
import pytest

from api.bulk import PIECE
from tests.fixtures.fix_api import Api, an_api, one_posting
from tests.fixtures.fix_postgres import Cluster, Store

PATH = "/v1/payments/bulk"
LINES = {"Content-Type": "application/x-ndjson"}


@pytest.fixture(scope="module")
def bank(cluster: Cluster) -> Iterator[Api]:
    with cluster.store() as store, an_api(store, workers=False) as api:
        api.open("cash", overdraft_limit=None)
        yield api


@pytest.fixture
def people(bank: Api) -> tuple[str, str]:
    alice, bob = (f"{secrets.token_hex(8)}:{name}" for name in ("alice", "bob"))
    bank.open(alice, bob)
    assert bank.pay("cash", alice, 1000).status_code == 201
    return alice, bob


def line(debit: str, credit: str, amount: Any, key: str | None = "", **members: Any) -> bytes:
    body = {**one_posting(debit, credit, amount), **members}
    if key is not None:
        body["idempotency_key"] = key or secrets.token_hex(8)
    return json.dumps(body).encode()


def send(api: Api, lines: Iterable[bytes], query: str = "", **named: Any) -> httpx2.Response:
    headers = {**LINES, **named.pop("headers", {})}
    content = b"".join(each + b"\n" for each in lines)
    return api.post(PATH + query, content=content, headers=headers, key=None, **named)


def answers(answer: httpx2.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"].startswith("application/x-ndjson")
    return [json.loads(each) for each in answer.content.splitlines()]


def end(api: Api) -> int:
    return int(api.get("/v1/status").json()["end"])


def mixed(people: tuple[str, str], unique: str) -> list[bytes]:
    """Lines of every kind, their keys made of `unique`."""
    alice, bob = people
    return [
        line(alice, bob, 600, f"{unique}-a"),
        line(alice, bob, 600, f"{unique}-b"),
        line(alice, bob, 600, f"{unique}-a"),
        line(alice, bob, 1, f"{unique}-a"),
        b"{",
        line(alice, bob, 1, None),
        line(alice, bob, 1, "a b"),
        line(alice, bob, "1", f"{unique}-c"),
        line(alice, bob, 1, f"{unique}-f", value_date="2020-01-01"),
        line(bob, alice, {"up_to": 100}, f"{unique}-c"),
        line(bob, "nobody", 1, f"{unique}-d", mode="hold"),
        b"[]",
        line(bob, alice, 50, f"{unique}-e", mode="hold", hold_timeout_s=60),
    ]


def test_each_line_is_answered_in_order_as_if_sent_singly(
    bank: Api, people: tuple[str, str]
) -> None:
    lines = mixed(people, people[0])
    told = answers(send(bank, lines))
    assert [(one["status"], one.get("code")) for one in told] == [
        (201, None),
        (422, "insufficient_funds"),
        (201, None),
        (422, "idempotency_key_reused"),
        (400, "invalid_request"),
        (400, "idempotency_key_missing"),
        (400, "invalid_request"),
        (400, "invalid_request"),
        (400, "invalid_request"),
        (201, None),
        (422, "account_unknown"),
        (400, "invalid_request"),
        (201, None),
    ]
    assert [n for n, one in enumerate(told) if one["replayed"]] == [2]
    assert told[6]["errors"][0]["pointer"] == "/idempotency_key"
    assert told[7]["errors"][0]["pointer"] == "/postings/0/amount"
    # Sent singly under the same keys, they are the same requests: the same answers again.
    for sent, one in zip(lines, told, strict=True):
        if one["status"] in (201, 422) and one.get("code") != "idempotency_key_reused":
            body = json.loads(sent)
            single = bank.post("/v1/payments", body, key=body.pop("idempotency_key"))
            assert single.headers["Idempotent-Replayed"] == "true"
            for changing in ("status", "replayed", "request_id"):
                one.pop(changing, None)
            expected = {k: v for k, v in single.json().items() if k not in ("status", "request_id")}
            assert one == expected


@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_a_last_line_alone_in_its_piece_comes_after_those_before(
    bank: Api, people: tuple[str, str], pieces: int
) -> None:
    first = line(*people, 1)
    others = [line(*people, 1) for _ in range(pieces * PIECE - 1)]
    told = answers(send(bank, [first, *others, first]))
    assert [one["replayed"] for one in told] == [False] * pieces * PIECE + [True]
    positions = [one["position"] for one in told[:-1]]
    assert positions == sorted(positions)


def test_sent_again_it_gives_the_first_answers(bank: Api, people: tuple[str, str]) -> None:
    lines = mixed(people, people[0])
    first = answers(send(bank, lines, headers={"X-Request-Id": "same"}))
    before = end(bank)
    second = answers(send(bank, lines, headers={"X-Request-Id": "same"}))
    assert end(bank) == before
    for one, again in zip(first, second, strict=True):
        recorded = one["status"] == 201 or "payment_id" in one
        assert again["replayed"] == recorded
        assert {**one, "replayed": None} == {**again, "replayed": None}


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n", b"\n\n", b"\n  \n"])
def test_a_blank_end_is_no_line(bank: Api, people: tuple[str, str], ending: bytes) -> None:
    content = line(*people, 1) + b"\r\n" + line(*people, 1) + ending
    told = answers(bank.post(PATH, content=content, headers=LINES, key=None))
    assert [one["status"] for one in told] == [201, 201]


def test_a_blank_line_between_others_is_none_of_json(bank: Api, people: tuple[str, str]) -> None:
    told = answers(send(bank, [line(*people, 1), b"", line(*people, 1)]))
    assert [one["status"] for one in told] == [201, 400, 201]


@pytest.mark.parametrize("query", ["", "?atomic=true", "?dry_run=true"])
def test_no_lines_are_no_answers(bank: Api, query: str) -> None:
    assert answers(bank.post(PATH + query, content=b"", headers=LINES, key=None)) == []


def test_a_body_of_another_type_or_size_is_refused_whole(
    bank: Api, people: tuple[str, str]
) -> None:
    before = end(bank)
    sent = line(*people, 1)
    wrong = send(bank, [sent], headers={"Content-Type": "application/json"})
    assert (wrong.status_code, wrong.json()["code"]) == (415, "unsupported_media_type")
    assert "application/x-ndjson" in wrong.json()["detail"]
    many = send(bank, [sent] * 10_001)
    assert (many.status_code, many.json()["code"]) == (413, "body_too_large")
    long = send(bank, [sent.ljust(900_000)] * 10)
    assert (long.status_code, long.json()["code"]) == (413, "body_too_large")
    for answer in (wrong, many, long):
        assert answer.headers["Content-Type"] == "application/problem+json"
    assert end(bank) == before


def test_a_line_is_no_longer_than_a_single_request(bank: Api, people: tuple[str, str]) -> None:
    told = answers(send(bank, [line(*people, 1).ljust(256 * 1024 + 1), line(*people, 1)]))
    assert [(one["status"], one.get("code")) for one in told] == [
        (413, "body_too_large"),
        (201, None),
    ]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [("?atomic=yes", "atomic"), ("?dry_run=1", "dry_run"), ("?atomik=true", "atomik")],
)
def test_a_query_parameter_at_fault_is_named(bank: Api, query: str, parameter: str) -> None:
    answer = send(bank, [b"{}"], query)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["parameter"] == parameter


def test_atomic_lines_are_made_all(bank: Api, people: tuple[str, str]) -> None:
    alice, bob = people
    lines = [line(alice, bob, 900), line(bob, "cash", 900)]
    told = answers(send(bank, lines, "?atomic=true"))
    assert [(one["status"], one["replayed"]) for one in told] == [(201, False)] * 2
    again = answers(send(bank, lines, "?atomic=true"))
    assert [one.pop("replayed") for one in again] == [True, True]
    assert again == [{k: v for k, v in one.items() if k != "replayed"} for one in told]


FAULTY: dict[str, tuple[Callable[[str, str], bytes], int, str]] = {
    "too little": (lambda a, b: line(a, b, 500), 422, "insufficient_funds"),
    "nobody": (lambda a, b: line(a, "nobody", 1), 422, "account_unknown"),
    "a used key": (lambda a, b: line(a, b, 1, "used"), 422, "idempotency_key_reused"),
    "long ago": (lambda a, b: line(a, b, 1, value_date="2020-01-01"), 400, "invalid_request"),
    "text": (lambda a, b: line(a, b, "1"), 400, "invalid_request"),
    "no key": (lambda a, b: line(a, b, 1, None), 400, "idempotency_key_missing"),
    "no JSON": (lambda a, b: b"{", 400, "invalid_request"),
    "too long": (lambda a, b: line(a, b, 1).ljust(300_000) + b"{}", 413, "body_too_large"),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_one_line_refused_refuses_all_and_names_it(
    bank: Api, people: tuple[str, str], fault: str
) -> None:
    faulty, status, code = FAULTY[fault]
    bank.pay("cash", people[1], 5, key="used")
    # What can't be understood comes before what is refused, wherever it stands.
    after = b"{" if status in (400, 413) and fault != "long ago" else line(*people, "all")
    lines = [line(*people, 600), line(*people, 1), faulty(*people), after]
    before = end(bank)
    answer = send(bank, lines, "?atomic=true")
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["line"]) == (409, "bulk_refused", 2)
    assert answer.headers["Content-Type"] == "application/problem+json"
    nested = problem["problem"]
    assert (nested["status"], nested["code"]) == (status, code)
    assert "payment_id" not in nested
    assert nested["detail"]
    assert end(bank) == before
    told = answers(send(bank, lines[:2], "?atomic=true"))
    assert [(one["status"], one["replayed"]) for one in told] == [(201, False)] * 2


def test_lines_settled_before_count_as_such_and_refused_ones_refuse(
    bank: Api, people: tuple[str, str]
) -> None:
    settled, refused = line(*people, 1000), line(*people, 5)
    first, second = answers(send(bank, [settled, refused]))
    told = answers(send(bank, [settled, line(people[1], people[0], 5)], "?atomic=true"))
    assert [one["replayed"] for one in told] == [True, False]
    assert told[0]["id"] == first["id"]
    problem = send(bank, [settled, refused], "?atomic=true").json()
    assert problem["line"] == 1
    assert problem["problem"]["payment_id"] == second["payment_id"]


@pytest.mark.parametrize("atomic", ["", "&atomic=true"])
def test_a_dry_run_of_lines_sees_what_those_before_would_do(
    bank: Api, people: tuple[str, str], atomic: str
) -> None:
    alice, bob = people
    lines = [line(alice, bob, 900, None), line(bob, alice, 900, None)]
    before = end(bank)
    told = answers(send(bank, lines, f"?dry_run=true{atomic}"))
    assert [one["status"] for one in told] == [200, 200]
    assert told[1]["balances"][0]["posted"] == 0
    assert end(bank) == before


def test_a_dry_run_of_lines_answers_as_they_would_be(bank: Api, people: tuple[str, str]) -> None:
    lines = mixed(people, people[0])
    before = end(bank)
    dry = answers(send(bank, lines, "?dry_run=true"))
    assert end(bank) == before
    done = answers(send(bank, lines))
    # A dry run needs no key.
    assert (dry[5]["status"], done[5]["status"]) == (200, 400)
    for one, other in zip(dry, done, strict=True):
        if one is not dry[5]:
            assert one.get("code") == other.get("code")
            assert one["status"] == (200 if other["status"] == 201 else other["status"])
    problem = send(bank, [*lines[:2]], "?dry_run=true&atomic=true")
    assert problem.json()["problem"]["code"] == "insufficient_funds"


def test_a_full_queue_is_waited_for(fresh_store: Store) -> None:
    with an_api(fresh_store, queue_size=2, batch_size=1, workers=False) as api:
        api.open("cash", overdraft_limit=None)
        api.open("alice")
        told = answers(send(api, [line("cash", "alice", 1) for _ in range(50)]))
        assert [one["status"] for one in told] == [201] * 50


def test_where_the_store_is_away_lines_end_unknown_at_once_and_may_be_sent_again(
    fresh_store: Store,
) -> None:
    with an_api(fresh_store, workers=False, store_timeout_s=1) as api:
        api.open("cash", overdraft_limit=None)
        api.open("alice")
        lines = [line("cash", "alice", 1) for _ in range(1000)]
        end(api)  # the client's key is known from here on, for a moment
        with psycopg.connect(fresh_store.owner_dsn, autocommit=True) as owner:
            owner.execute(f"REVOKE CONNECT ON DATABASE {fresh_store.name} FROM PUBLIC")
            owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE usename = 'tally_app' AND datname = current_database()"
            )
            try:
                began = time.monotonic()
                told = answers(send(api, lines))
                assert time.monotonic() - began < 10
            finally:
                owner.execute(f"GRANT CONNECT ON DATABASE {fresh_store.name} TO PUBLIC")
        assert {(one["status"], one["code"]) for one in told} == {(503, "store_unavailable")}
        while (answer := send(api, lines)).status_code == 503:
            time.sleep(0.05)  # nobody can be asked yet whose key it is
        again = answers(answer)
        assert [one["status"] for one in again] == [201] * 1000
        assert again[-1]["balances"][1]["posted"] == 1000


def test_twins_of_a_bulk_that_race_take_effect_once(bank: Api, people: tuple[str, str]) -> None:
    lines = [line(*people, 1) for _ in range(300)]
    with ThreadPoolExecutor(4) as pool:
        several = list(pool.map(lambda _: answers(send(bank, lines)), range(4)))
    for told in zip(*several, strict=True):
        assert len({one["id"] for one in told}) == 1
        assert sum(one["replayed"] for one in told) == 3
    assert bank.pay(*people, 701).json()["code"] == "insufficient_funds"
    assert bank.pay(*people, 700).status_code == 201
