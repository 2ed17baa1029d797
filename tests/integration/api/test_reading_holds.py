"""Balances and holds over HTTP: at their position, and at their time by the API's clock."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import jsonschema_rs
import pytest

from domain.times import time_text
from tests.fixtures.fix_api import Api, an_api
from tests.fixtures.fix_events import START, History
from tests.fixtures.fix_life import Life
from tests.fixtures.fix_postgres import Store

DEADLINE = START + timedelta(seconds=60)
MICROSECOND = timedelta(microseconds=1)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


class Place:
    """An API by a clock that moves by hand, on a history that grows by hand."""

    def __init__(self, api: Api, clock: Clock) -> None:
        self.api = api
        self.clock = clock
        self.history = History(ledger=api.store.ledger)

    def get(self, path: str, **parameters: Any) -> Any:
        """Once all that has happened is there."""
        end = self.history.store(self.api.store.app_dsn)
        answer = self.api.get(
            path, min_position=end, headers={"Prefer": "wait=20"}, role="reporter", **parameters
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def at(self, time: datetime) -> Place:
        self.clock.now = time
        return self


@pytest.fixture
def place(fresh_store: Store) -> Iterator[Place]:
    clock = Clock()
    with an_api(fresh_store, clock=clock, sweeps=False) as api:
        yield Place(api, clock)


@pytest.fixture
def held(place: Place) -> uuid.UUID:
    place.history.open("alice", overdraft_limit=100).open("bob")
    return place.history.hold(("alice", "bob", 30), hold_timeout_s=60)


def pending(place: Place, **parameters: Any) -> tuple[int, int, int]:
    """What every read that tells of holds says is pending: all agree."""
    alice = place.get("/v1/accounts/alice/balance", **parameters)
    bob = place.get("/v1/accounts/bob/balance", **parameters)
    assert alice["available"] == 100 + alice["posted"] - alice["pending_debit"]
    if not parameters:
        assert place.get("/v1/balances")["items"] == [alice, bob]
        (total,) = place.get("/v1/balances/total")["items"]
        assert total["pending_debit"] == alice["pending_debit"]
        assert total["pending_credit"] == bob["pending_credit"]
        assert len(place.get("/v1/accounts/alice/holds")["items"]) == (alice["pending_debit"] > 0)
        assert len(place.get("/v1/accounts/bob/holds")["items"]) == (bob["pending_credit"] > 0)
    return alice["pending_debit"], bob["pending_credit"], alice["position"]


@pytest.mark.usefixtures("held")
def test_a_hold_counts_up_to_its_deadline_by_the_clock_though_nobody_sweeps(place: Place) -> None:
    end = place.history.end
    assert pending(place.at(DEADLINE - MICROSECOND)) == (30, 30, end)
    assert pending(place.at(DEADLINE)) == (0, 0, end)
    assert pending(place.at(DEADLINE + timedelta(days=40))) == (0, 0, end)


def test_the_past_is_as_it_was_after_the_deadline_and_after_the_sweep(
    place: Place, held: uuid.UUID
) -> None:
    end = place.history.end
    place.at(DEADLINE + timedelta(hours=1))
    for swept in (False, True):
        if swept:
            place.history.now = DEADLINE + timedelta(seconds=1)
            place.history.expire(held)
        assert pending(place, as_of_position=end) == (30, 30, end)
        assert pending(place, as_of=time_text(DEADLINE - MICROSECOND)) == (30, 30, end)
        assert pending(place, as_of=time_text(DEADLINE)) == (0, 0, end)
        assert pending(place)[:2] == (0, 0)


@pytest.mark.usefixtures("held")
def test_a_clock_behind_the_ledger_is_not_believed(place: Place) -> None:
    """What was recorded at a time has seen that time."""
    place.history.now = DEADLINE
    place.history.open("carol")
    assert place.at(START).get("/v1/accounts/alice/balance")["pending_debit"] == 0


def test_open_holds_tell_both_sides(place: Place, held: uuid.UUID) -> None:
    history = place.history.capture(held, 12, final=False)
    second = history.hold(("bob", "alice", 5))
    page = place.get("/v1/accounts/alice/holds")
    assert page == {
        "items": [
            {
                "payment_id": str(held),
                "side": "debit",
                "amount": 30,
                "captured": 12,
                "currency": "EUR",
                "counter_account": "bob",
                "expires_at": time_text(DEADLINE),
            },
            {
                "payment_id": str(second),
                "side": "credit",
                "amount": 5,
                "captured": 0,
                "currency": "EUR",
                "counter_account": "bob",
                "expires_at": time_text(START + timedelta(days=7)),
            },
        ],
        "next_cursor": None,
        "position": history.end,
    }
    document = place.api.get("/openapi.json").json()
    told = document["paths"]["/v1/accounts/{id}/holds"]["get"]["responses"]["200"]
    schema = told["content"]["application/json"]["schema"] | {"components": document["components"]}
    jsonschema_rs.validate(schema, page)
    assert len(place.get("/v1/accounts/bob/holds")["items"]) == 2
    history.void(held)
    assert len(place.get("/v1/accounts/bob/holds")["items"]) == 1


def test_a_walk_through_holds_misses_none_that_stays_open(place: Place) -> None:
    history = place.history.open("alice", "bob")
    made = [history.hold(("alice", "bob", number)) for number in range(1, 10)]
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = place.get("/v1/accounts/alice/holds", limit=2, **cursor)
        found += [item["payment_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
        if len(found) == 2:
            history.void(made[0]).capture(made[2])
            made.append(history.hold(("alice", "bob", 1)))
    assert found == [str(made[number]) for number in (0, 1, *range(3, 10))]
    answer = place.api.get("/v1/accounts/bob/holds", **cursor)
    assert (answer.status_code, answer.json()["code"]) == (400, "cursor_invalid")


def test_holds_of_nobody_are_not_found(place: Place) -> None:
    place.get("/v1/balances")
    for name in ("nobody", "not!an:id"):
        assert place.api.get(f"/v1/accounts/{name}/holds").status_code == 404
    answer = place.api.get("/v1/accounts/nobody/holds", as_of_position=0)
    assert answer.json()["errors"][0]["parameter"] == "as_of_position"


def test_books_balance_at_every_position_whatever_is_captured(place: Place) -> None:
    place.history = Life(120, ledger=place.api.store.ledger).history
    end = place.history.end
    captured = 0
    for position in range(end + 1):
        answer = place.get("/v1/trial-balance", as_of_position=position)
        assert answer["balanced"], position
        assert position - 5 <= answer["position"] <= position
        captured += answer["position"] < position
    assert captured > 20
    assert place.get("/v1/trial-balance")["position"] == end


def test_an_account_shows_its_velocity_limits(place: Place) -> None:
    limit = {"window": "day", "carrier": "qr", "max_count": 3, "max_amount": None}
    place.history.open("alice", "bob").change("alice", limits=[limit])
    assert place.get("/v1/accounts/alice")["limits"] == [limit]
    assert [item["limits"] for item in place.get("/v1/accounts")["items"]] == [[limit], []]
