"""GET /v1/events: the whole history, by page and live."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from tests.fixtures.fix_api import Api, an_api
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_reconcile import owner


@pytest.fixture(scope="module")
def town(shared_api: Api) -> Api:
    shared_api.open("cash", overdraft_limit=None)
    shared_api.open("alice", "bob")
    for amount in (1, 2, 3):
        shared_api.pay("cash", "alice", amount)
    shared_api.pay("bob", "alice", 1)
    return shared_api


def events(api: Api, **parameters: Any) -> dict[str, Any]:
    answer = api.get("/v1/events", role="auditor", **parameters)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_the_history_has_no_gap(town: Api) -> None:
    page = events(town, limit=500)
    assert [item["position"] for item in page["items"]] == list(range(1, page["position"] + 1))
    assert events(town, after=5, limit=2)["items"] == page["items"][5:7]
    assert events(town, after=page["position"])["items"] == []


def test_an_event_is_found_by_its_position_and_none_beyond_the_end(town: Api) -> None:
    page = events(town, limit=500)
    for item in page["items"]:
        answer = town.get(f"/v1/events/{item['position']}", role="auditor")
        assert answer.json() == item
        assert answer.headers["Ledger-Position"] == str(page["position"])
    for position in (0, page["position"] + 1, "x", "01", 2**63):
        answer = town.get(f"/v1/events/{position}", role="auditor")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def walked(api: Api, **filters: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = events(api, limit=2, **filters, **cursor)
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = {"cursor": page["next_cursor"]}


def test_filters_give_what_they_name_and_all_of_it(town: Api) -> None:
    whole = events(town, limit=500)["items"]
    payment = next(item["stream"] for item in whole if item["type"] == "tally.payment.settled.v1")
    credited = "tally.account.credited.v1"
    for filters, expected in (
        ({"account": "alice"}, [e for e in whole if e["stream"] == "alice"]),
        ({"type": credited}, [e for e in whole if e["type"] == credited]),
        ({"account": "alice", "type": credited}, [e for e in whole if e["type"] == credited]),
        (
            {"payment": payment},
            [e for e in whole if payment in (e["stream"], e["data"].get("payment"))],
        ),
        (
            {"payment": payment, "account": "alice"},
            [e for e in whole if e["data"].get("payment") == payment and e["stream"] == "alice"],
        ),
        ({"account": "nobody"}, []),
        ({"payment": "nothing"}, []),
        ({"payment": "0f7d2c9e-6a53-5a0b-9d44-0c5a3a0f7b11"}, []),
    ):
        assert walked(town, **filters) == expected
        half = len(whole) // 2
        assert walked(town, after=half, **filters) == [e for e in expected if e["position"] > half]


def test_an_unknown_type_is_refused(town: Api) -> None:
    answer = town.get("/v1/events", type="tally.account.eaten.v1", role="auditor")
    assert answer.json()["errors"][0]["parameter"] == "type"


def lines(api: Api, **headers: str) -> Iterator[str]:
    with httpx2.stream(
        "GET",
        f"{api.url}/v1/events",
        timeout=30,
        headers={
            "Authorization": f"Bearer {api.keys['auditor']}",
            "Accept": "text/event-stream",
            **headers,
        },
    ) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        yield from answer.iter_lines()


def followed(api: Api, count: int, **headers: str) -> list[tuple[int, dict[str, Any]]]:
    """The first `count` events that the live stream sends, with their ids."""
    found: list[tuple[int, dict[str, Any]]] = []
    id_ = 0
    for line in lines(api, **headers):
        if line.startswith("id: "):
            id_ = int(line[4:])
        elif line.startswith("data: "):
            found.append((id_, json.loads(line[6:])))
            if len(found) == count:
                break
    return found


def test_the_live_stream_sends_what_is_there_and_what_comes(api: Api) -> None:
    api.open("cash", overdraft_limit=None)
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(followed, api, 7)
        api.open("alice")
        api.pay("cash", "alice", 5)
        found = following.result(timeout=20)
    assert [id_ for id_, _ in found] == [1, 2, 3, 4, 5, 6, 7]
    assert [item for _, item in found] == events(api)["items"]


def test_the_live_stream_resumes_after_the_last_id(town: Api) -> None:
    found = followed(town, 3, **{"Last-Event-ID": "4"})
    assert [id_ for id_, _ in found] == [5, 6, 7]
    answer = town.get(
        "/v1/events",
        role="auditor",
        headers={"Accept": "text/event-stream", "Last-Event-ID": "yesterday"},
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


def test_the_live_stream_ends_where_the_store_has_lost_what_was_sent(
    api_without_workers: Api,
) -> None:
    """Its client asks again after the last one it has, and is told; else it would miss some."""
    api = api_without_workers
    api.open("cash", overdraft_limit=None)
    for lost_after, instead in ((2, ()), (2, ("carol",))):
        api.open("alice")
        with ThreadPoolExecutor(1) as pool:
            sent = iter(lines(api))
            while "id: 4" not in next(sent):
                pass
            rest = pool.submit(list, sent)
            with owner(api.store) as connection:
                connection.execute("DELETE FROM tally.events WHERE position > %s", (lost_after,))
            for name in instead:
                api.open(name)
            assert not any(line.startswith("id:") for line in rest.result(timeout=20))


def test_events_after_a_position_beyond_the_end_are_unknown(town: Api) -> None:
    """Their client follows another history, as where a backup was restored: it would miss some."""
    live = {"Accept": "text/event-stream"}
    end = events(town)["position"]
    for parameters, headers in (
        ({"after": end + 1}, {}),
        ({"after": 2**63}, {}),
        ({"after": end + 1}, live),
        ({}, {**live, "Last-Event-ID": str(end + 1)}),
        ({}, {**live, "Last-Event-ID": str(2**63)}),
    ):
        answer = town.get("/v1/events", role="auditor", headers=headers, **parameters)
        assert (answer.status_code, answer.json()["code"]) == (400, "position_unknown")
    assert events(town, after=end)["items"] == []


def test_the_live_stream_ends_when_the_process_ends(fresh_store: Store) -> None:
    with ThreadPoolExecutor(1) as pool:
        with an_api(fresh_store, workers=False) as api:
            api.open("alice")
            stream = lines(api)
            assert next(stream).startswith(":")
            rest = pool.submit(list, stream)
        assert any(line.startswith("id: 2") for line in rest.result(timeout=10))


def test_the_events_of_a_payment_are_those_of_its_whole_life(fresh_store: Store) -> None:
    with an_api(fresh_store, workers=False) as api:
        api.open("cash", overdraft_limit=None)
        api.open("alice", "bob")
        api.pay("cash", "alice", 1000)
        posting = {"debit": "alice", "credit": "bob", "amount": 100, "currency": "EUR"}
        payment = api.post("/v1/payments", {"postings": [posting], "mode": "hold"}).json()["id"]
        for verb, body in (
            ("capture", {"amount": 30, "final": False}),
            ("capture", {"amount": 200}),
            ("void", {}),
            ("refunds", {"amount": 5}),
        ):
            api.pay("cash", "alice", 1)
            api.post(f"/v1/payments/{payment}/{verb}", body)
        whole = events(api, limit=500)["items"]
        wanted = [
            event
            for event in whole
            if event["stream"] == payment
            or (
                event["data"].get("payment") == payment
                and event["type"].startswith("tally.account.")
            )
        ]
        assert [event["type"].removeprefix("tally.").removesuffix(".v1") for event in wanted] == [
            *("payment.held", "account.held", "account.held"),
            *("payment.captured", "account.debited", "account.credited"),
            *("payment.voided", "account.released", "account.released"),
            "payment.refunded",
        ]
        assert events(api, payment=payment, limit=500)["items"] == wanted
        walked, more = [], {}
        while more is not None:
            page = events(api, payment=payment, limit=1, **more)
            walked += page["items"]
            more = page["next_cursor"] and {"cursor": page["next_cursor"]}
        assert walked == wanted
