"""Reads over HTTP: never silently stale, true at their position, walked without loss."""

from __future__ import annotations

import csv
import io
import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event, Thread
from typing import Any

import pytest

from tests.fixtures.fix_api import Api


@pytest.fixture(scope="module")
def town(shared_api: Api) -> Api:
    """alice was given 1000 and spent 100, 200, 300; bob got it."""
    api = shared_api
    api.open("cash", normal_side="debit", overdraft_limit=None)
    api.open("customers:alice", "customers:bob")
    api.pay("cash", "customers:alice", 1000)
    for amount in (100, 200, 300):
        paid = api.pay("customers:alice", "customers:bob", amount)
    assert api.get("/v1/balances", min_position=paid.json()["position"]).status_code == 200
    return api


def end(api: Api) -> int:
    return int(api.get("/v1/status").json()["end"])


READS = [
    "/v1/accounts",
    "/v1/accounts/customers:alice",
    "/v1/accounts/customers:alice/balance",
    "/v1/accounts/customers:alice/holds",
    "/v1/accounts/customers:alice/statement?from=2026-01-01&to=2027-01-01",
    "/v1/balances",
    "/v1/balances/total",
    "/v1/trial-balance",
    "/v1/trial-balance/accounts",
    "/v1/payments",
]


@pytest.mark.parametrize("path", READS)
def test_every_read_says_the_position_it_is_true_at(town: Api, path: str) -> None:
    position = end(town)
    answer = town.get(f"{path}{'&' if '?' in path else '?'}min_position={position}")
    assert answer.status_code == 200
    assert int(answer.headers["Ledger-Position"]) >= position


@pytest.mark.parametrize("path", READS)
def test_a_position_beyond_the_end_is_unknown(town: Api, path: str) -> None:
    for beyond in (end(town) + 1, 2**63, 10**19):
        answer = town.get(f"{path}{'&' if '?' in path else '?'}min_position={beyond}")
        assert (answer.status_code, answer.json()["code"]) == (400, "position_unknown")


@pytest.mark.parametrize("beyond", [1, 2**63])
def test_a_balance_as_of_a_position_beyond_the_end_is_unknown(town: Api, beyond: int) -> None:
    answer = town.get("/v1/accounts/cash/balance", as_of_position=end(town) + beyond)
    assert (answer.status_code, answer.json()["code"]) == (400, "position_unknown")


def test_the_last_day_of_the_calendar_is_a_day(town: Api) -> None:
    """The first one too: what is asked for is never beyond what can be counted with."""
    now = town.get("/v1/accounts/customers:alice/balance").json()["posted"]
    for day, posted in (("9999-12-31", now), ("0001-01-01", 0)):
        answer = town.get("/v1/accounts/customers:alice/balance", effective_at=day)
        assert (answer.status_code, answer.json()["posted"]) == (200, posted)
    for by in ("booking_date", "value_date"):
        path = (
            f"/v1/accounts/customers:alice/statement?from=0001-01-01&to=9999-12-31&by={by}&limit=1"
        )
        first = town.get(path).json()
        rest = town.get(f"{path}&cursor={first['next_cursor']}").json()
        assert (first["opening_balance"], first["closing_balance"]) == (0, now)
        assert len(first["entries"]) == len(rest["entries"]) == 1
        empty = town.get(path.replace("0001-01-01", "9999-12-31")).json()
        assert (empty["opening_balance"], empty["entries"]) == (now, [])
    report = town.get("/v1/reports/carriers?from=0001-01-01&to=9999-12-31")
    assert report.status_code == 200


def test_a_read_that_is_not_caught_up_says_both_positions(api_without_workers: Api) -> None:
    api = api_without_workers
    position = api.open("alice")
    began = time.monotonic()
    answer = api.get(
        "/v1/accounts/alice/balance", min_position=position, headers={"Prefer": "wait=0"}
    )
    assert time.monotonic() - began < 0.9
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (503, "not_caught_up")
    assert (problem["position"], problem["min_position"]) == (0, position)
    assert answer.headers["Retry-After"] == "1"


@pytest.mark.parametrize(
    ("prefer", "waits_s"),
    [(None, 1), ("wait=2", 2), ("respond-async, wait=0", 0), ('wait="0"', 0), ("wait=-1", 1),
     ("wait=soon", 1), ("wait", 1), ("wait=00000000002", 2)],
)  # fmt: skip
def test_a_read_waits_as_long_as_it_is_asked_to(
    api_without_workers: Api, prefer: str | None, waits_s: int
) -> None:
    api = api_without_workers
    position = api.open("alice")
    began = time.monotonic()
    answer = api.get(
        "/v1/accounts/alice",
        min_position=position,
        headers={"Prefer": prefer} if prefer else None,
    )
    assert answer.status_code == 503
    assert waits_s <= time.monotonic() - began < waits_s + 0.8


def test_a_read_by_id_waits_for_what_the_store_has(api_without_workers: Api) -> None:
    api = api_without_workers
    api.open("cash", overdraft_limit=None)
    api.open("alice")
    payment = api.pay("cash", "alice", 5).json()["id"]
    paths = [
        "/v1/accounts/alice",
        "/v1/accounts/alice/balance",
        "/v1/accounts/alice/holds",
        f"/v1/payments/{payment}",
    ]
    for path in paths:
        answer = api.get(path, headers={"Prefer": "wait=0"})
        assert (answer.status_code, answer.json()["code"]) == (503, "not_caught_up")
    assert api.get("/v1/accounts/bob", headers={"Prefer": "wait=0"}).status_code in (404, 503)
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(api.get, path, headers={"Prefer": "wait=20"}) for path in paths]
        time.sleep(0.2)
        api.workers.start()
        assert [each.result().status_code for each in waiting] == [200] * 4


@pytest.mark.slow
def test_a_reader_sees_what_it_wrote_or_is_told_that_it_cannot(
    api: Api, scaled: Any, figure: Any
) -> None:
    """Pairs of POST and GET while the workers are stopped and started."""
    api.open("cash", overdraft_limit=None)
    api.open("alice")
    pairs = scaled(10_000)
    done = Event()

    def pause_and_resume() -> None:
        while not done.wait(0.5):
            api.workers.stop()
            if not done.wait(0.3):
                api.workers.start()

    pausing = Thread(target=pause_and_resume)
    pausing.start()
    told = 0
    try:
        for number in range(pairs):
            paid = api.pay("cash", "alice", 1).json()
            read = api.get(
                "/v1/accounts/alice/balance",
                min_position=paid["position"],
                headers={"Prefer": "wait=0" if number % 2 else "wait=1"},
            )
            if read.status_code == 503:
                problem = read.json()
                assert problem["code"] == "not_caught_up"
                assert problem["position"] < problem["min_position"] == paid["position"]
                told += 1
            else:
                assert read.json()["posted"] == paid["balances"][1]["posted"]
    finally:
        done.set()
        pausing.join()
    figure("read your writes: pairs, none stale", pairs)
    figure("… of which told that they must wait", told)


def test_a_balance_as_of_a_position_is_what_it_was(town: Api) -> None:
    events = town.get("/v1/events", account="customers:alice", role="auditor").json()["items"]
    path = "/v1/accounts/customers:alice/balance"
    opened = events[0]["position"]
    before = town.get(path, as_of_position=opened - 1).json()
    assert (before["posted"], before["available"], before["version"]) == (0, 0, 0)
    for event in events[1:]:
        answer = town.get(path, as_of_position=event["position"])
        assert answer.headers["Ledger-Position"] == str(event["position"])
        balance = answer.json()
        assert balance["posted"] == event["data"]["posted"]
        assert balance["position"] == event["position"]
        by_time = town.get(path, as_of=event["recorded_at"]).json()
        assert by_time["posted"] == event["data"]["posted"]
    long_ago = town.get(path, as_of="2001-01-01T00:00:00Z").json()
    assert (long_ago["posted"], long_ago["position"]) == (0, 0)


def test_a_balance_by_value_date_leaves_out_what_counts_later(api: Api) -> None:
    api.open("cash", overdraft_limit=None)
    api.open("alice")
    today = datetime.now(UTC).date()
    position = 0
    for days, amount in ((-2, 1), (0, 10), (2, 100)):
        body = {
            "postings": [{"debit": "cash", "credit": "alice", "amount": amount, "currency": "EUR"}],
            "value_date": (today + timedelta(days=days)).isoformat(),
        }
        position = api.post("/v1/payments", body).json()["position"]
    for days, posted in ((-3, 0), (-2, 1), (-1, 1), (0, 11), (1, 11), (2, 111)):
        balance = api.get(
            "/v1/accounts/alice/balance",
            effective_at=(today + timedelta(days=days)).isoformat(),
            min_position=position,
        ).json()
        assert (balance["posted"], balance["available"]) == (posted, None)
    then = api.get(
        "/v1/accounts/alice/balance",
        effective_at=(today + timedelta(days=2)).isoformat(),
        as_of_position=position - 1,
    ).json()
    assert then["posted"] == 11


def test_the_trial_balance_is_zero_at_every_position(town: Api) -> None:
    for position in range(end(town) + 1):
        answer = town.get("/v1/trial-balance", as_of_position=position).json()
        assert answer["balanced"]
        assert position - 2 <= answer["position"] <= position
    lines = town.get("/v1/trial-balance/accounts").json()["items"]
    assert sum(line["debit"] for line in lines) == sum(line["credit"] for line in lines) == 1000


def walk(api: Api, path: str, *, role: str = "client", **parameters: Any) -> list[Any]:
    items: list[Any] = []
    cursor: dict[str, str] = {}
    while True:
        page = api.get(path, role=role, **parameters, **cursor).json()
        items += page["items"]
        assert len(page["items"]) <= parameters["limit"]
        if page["next_cursor"] is None:
            return items
        cursor = {"cursor": page["next_cursor"]}


def test_lists_are_walked_page_by_page(town: Api) -> None:
    for path in ("/v1/accounts", "/v1/balances", "/v1/trial-balance/accounts", "/v1/payments"):
        whole = town.get(path).json()
        assert whole["next_cursor"] is None
        for limit in (1, 2, 3, 500):
            assert walk(town, path, limit=limit) == whole["items"]
    names = [item["id"] for item in walk(town, "/v1/accounts", limit=1, prefix="customers:")]
    assert names == ["customers:alice", "customers:bob"]
    events = walk(town, "/v1/events", limit=3, role="auditor")
    assert [event["position"] for event in events] == list(range(1, end(town) + 1))


@pytest.mark.slow
def test_a_walk_while_others_write_shows_nothing_twice_and_misses_nothing(api: Api) -> None:
    api.open("cash", overdraft_limit=None)
    before = [f"a{n:02}" for n in range(0, 40, 2)]
    position = api.open(*before)
    payments = [api.pay("cash", "a00", n).json() for n in range(1, 21)]
    position = payments[-1]["position"]
    fresh = (f"{number:06}" for number in itertools.count())
    for path, name, there in (
        ("/v1/accounts", "id", before),
        ("/v1/balances", "account", before),
        ("/v1/payments", "id", [payment["id"] for payment in payments]),
        ("/v1/trial-balance/accounts", "account", before),
    ):
        seen: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = api.get(path, limit=3, min_position=position, **cursor).json()
            seen += [item[name] for item in page["items"]]
            position = max(position, page["position"])
            # Others write before, at and after where we are.
            api.open(*(before + next(fresh) for before in ("a", seen[-1][:40] + ":", "zz")))
            position = api.pay("cash", "a02", 1).json()["position"]
            if page["next_cursor"] is None or len(seen) > 500:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert len(seen) == len(set(seen))
        assert set(there) <= set(seen)


def test_a_cursor_belongs_to_its_list(town: Api) -> None:
    cursor = town.get("/v1/accounts", limit=1, prefix="customers:").json()["next_cursor"]
    good = town.get("/v1/accounts", limit=5, prefix="customers:", cursor=cursor)
    assert [item["id"] for item in good.json()["items"]] == ["customers:bob"]
    for path, parameters in (
        ("/v1/accounts", {"prefix": "customers"}),
        ("/v1/accounts", {}),
        ("/v1/balances", {"prefix": "customers:"}),
        ("/v1/payments", {}),
    ):
        answer = town.get(path, cursor=cursor, **parameters)
        assert (answer.status_code, answer.json()["code"]) == (400, "cursor_invalid")
    for broken in ("", "x", cursor[:-2], cursor + "AA", "W10", "bnVsbA", "%00", "é", "a" * 2_000):
        answer = town.get("/v1/accounts", prefix="customers:", cursor=broken)
        assert (answer.status_code, answer.json()["code"]) == (400, "cursor_invalid")


def test_the_cursor_of_a_statement_keeps_the_position_of_its_first_page(api: Api) -> None:
    api.open("cash", overdraft_limit=None)
    api.open("alice")
    for amount in (1, 2, 3):
        position = api.pay("cash", "alice", amount).json()["position"]
    today = datetime.now(UTC).date()
    period = {"from": today.isoformat(), "to": (today + timedelta(days=1)).isoformat()}
    for by in ("booking_date", "value_date"):
        path = "/v1/accounts/alice/statement"
        first = api.get(path, limit=2, by=by, min_position=position, **period).json()
        later = api.pay("cash", "alice", 4).json()["position"]
        second = api.get(
            path, limit=2, by=by, min_position=later, cursor=first["next_cursor"], **period
        ).json()
        assert second["position"] == first["position"]
        assert second["next_cursor"] is None
        entries = first["entries"] + second["entries"]
        assert (
            first["opening_balance"] + sum(entry["amount"] for entry in entries)
            == (second["closing_balance"])
        )
        assert first["closing_balance"] == second["closing_balance"] == entries[-1]["balance"]
        position = later


def test_a_statement_as_csv_is_the_same_statement(town: Api) -> None:
    path = "/v1/accounts/customers:alice/statement"
    today = datetime.now(UTC).date()
    period = {"from": today.isoformat(), "to": (today + timedelta(days=1)).isoformat()}
    told = town.get(path, **period).json()
    answer = town.get(path, headers={"Accept": "text/csv"}, **period)
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert int(answer.headers["Ledger-Position"]) >= told["position"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [int(row["position"]) for row in rows] == [e["position"] for e in told["entries"]]
    assert [row["amount_decimal"] for row in rows] == ["10.00", "1.00", "2.00", "3.00"]
    assert told["opening_balance"] == 0
    assert told["closing_balance"] == 400


def test_payments_are_listed_newest_first_by_what_they_are(town: Api) -> None:
    items = town.get("/v1/payments", account="customers:bob").json()["items"]
    assert [item["postings"][0]["amount"] for item in items] == [300, 200, 100]
    assert town.get("/v1/payments", state="refused").json()["items"] == []
    between = town.get(
        "/v1/payments", created_from=items[1]["created_at"], created_to=items[0]["created_at"]
    )
    assert [item["id"] for item in between.json()["items"]] == [items[1]["id"]]


def test_a_payments_timeline_tells_what_happened(town: Api) -> None:
    payment = town.get("/v1/payments", limit=1).json()["items"][0]
    answer = town.get(f"/v1/payments/{payment['id']}/timeline").json()
    assert [(item["type"], item["amount"]) for item in answer["items"]] == [
        ("tally.payment.settled.v1", 300)
    ]
    assert answer["items"][0]["actor"]["caller"] == "client"


def test_status_tells_how_far_everything_is(town: Api) -> None:
    status = town.get("/v1/status").json()
    assert set(status["projections"]) == {"accounts", "balances", "statements", "payments"}
    assert status["mirror"] is None
    for projection in status["projections"].values():
        assert projection["lag"] == status["end"] - projection["position"]


def test_an_answer_that_the_client_has_is_not_sent_again(api: Api) -> None:
    """Until it is another one: the ETag is of the body, which tells its position."""
    api.open("cash", overdraft_limit=None)
    position = api.open("alice")
    path = "/v1/accounts/alice/balance"
    first = api.get(path, min_position=position)
    known = first.headers["ETag"]
    for sent in (known, f'"other", W/{known}', "*"):
        again = api.get(path, headers={"If-None-Match": sent})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == known
        assert again.headers["Ledger-Position"] == first.headers["Ledger-Position"]
        assert "content-type" not in again.headers
    assert api.get(path, headers={"If-None-Match": '"other"'}).json() == first.json()
    paid = api.pay("cash", "alice", 1).json()["position"]
    changed = api.get(path, min_position=paid, headers={"If-None-Match": known})
    assert changed.status_code == 200
    assert changed.json()["posted"] == 1
    missing = api.get("/v1/accounts/nobody", headers={"If-None-Match": "*"})
    assert missing.status_code == 404
