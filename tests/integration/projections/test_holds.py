"""Holds in the read models: what is pending and available at a position and a time."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from application.answers import account_resource
from domain.events import (
    AccountChanged,
    AccountDebited,
    AccountEntry,
    AccountHeld,
    AccountOpened,
    AccountReleased,
    CommandDecided,
)
from domain.times import time_text
from projections.accounts.queries import account
from projections.balances.queries import balance, balances, holds, totals, trial_balance
from projections.generation import connect, live_generation
from projections.reading import View
from projections.registry import PROJECTIONS
from tests.fixtures.fix_events import START, History
from tests.fixtures.fix_life import Life
from tests.fixtures.fix_parted import PartedFeed
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_projections import (
    Counting,
    catch_up,
    viewing,
)

MICROSECOND = timedelta(microseconds=1)


def kept(store: Store, history: History, names: Any = ("balances",), batch: int = 7) -> str:
    history.store(store.app_dsn)
    catch_up(store.app_dsn, names, batch=batch)
    return store.app_dsn


# A model of its own: what the events say, hold by hold ------------------------------------


class Told:
    """An account as its events up to a position tell it, holds by their deadlines alone."""

    def __init__(self, history: History, name: str, position: int) -> None:
        self.posted = self.version = 0
        self.limit: int | None = 0
        self.side = "credit"
        self.holds: dict[tuple[uuid.UUID, int], dict[str, Any]] = {}
        for event in history.events[:position]:
            if getattr(event, "account", None) == name and not isinstance(event, CommandDecided):
                self._apply(event)
                self.version = event.originator_version

    def _apply(self, event: Any) -> None:
        match event:
            case AccountOpened():
                self.side, self.limit = event.normal_side, event.overdraft_limit
            case AccountChanged():
                self.limit = event.changed.get("overdraft_limit", self.limit)
            case AccountHeld():
                self.holds[event.payment, event.index] = {
                    "payment_id": str(event.payment),
                    "side": event.side,
                    "amount": event.amount_minor,
                    "captured": 0,
                    "currency": event.currency,
                    "counter_account": event.counter_account,
                    "expires_at": event.expires_at,
                }
            case AccountReleased():
                del self.holds[event.payment, event.index]
            case AccountEntry():
                debit = isinstance(event, AccountDebited)
                lowers = debit == (self.side == "credit")
                self.posted += -event.amount_minor if lowers else event.amount_minor
                if event.from_hold:
                    self._capture((event.payment, event.index), event.amount_minor)

    def _capture(self, key: tuple[uuid.UUID, int], amount: int) -> None:
        hold = self.holds[key]
        hold["captured"] += amount
        if hold["captured"] == hold["amount"]:
            del self.holds[key]

    def open_at(self, time: datetime) -> list[dict[str, Any]]:
        return [
            {**hold, "expires_at": time_text(hold["expires_at"])}
            for hold in self.holds.values()
            if hold["expires_at"] > time
        ]

    def balance(self, time: datetime) -> dict[str, Any]:
        pending = {"debit": 0, "credit": 0}
        for hold in self.open_at(time):
            pending[hold["side"]] += hold["amount"] - hold["captured"]
        lowering = pending["debit" if self.side == "credit" else "credit"]
        unlimited = self.version and self.limit is None
        return {
            "posted": self.posted,
            "pending_debit": pending["debit"],
            "pending_credit": pending["credit"],
            "available": None if unlimited else self.posted - lowering + (self.limit or 0),
            "version": self.version,
        }


def without_terms(found: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in found.items()
        if name not in ("account", "currency", "normal_side", "position")
    }


def deadlines(history: History) -> Iterator[datetime]:
    for payment in history.payments.values():
        if payment.expires_at is not None:
            yield payment.expires_at


# The model against the read model ---------------------------------------------------------


def test_at_every_position_a_balance_is_what_its_holds_make_it(fresh_store: Store) -> None:
    """At its recorded time, and a moment before the next event: deadlines come in between."""
    life = Life(250)
    history = life.history
    dsn = kept(fresh_store, history)
    seen: set[bool] = set()

    async def walk(view: View) -> None:
        for at in range(1, history.end + 1):
            recorded = history.events[at - 1].timestamp
            following = history.events[at].timestamp if at < history.end else recorded
            for time in {recorded, max(recorded, following - MICROSECOND)}:
                for name in (life.names[at % 6], life.names[5]):
                    found = await balance(view, name, at=at, time=time)
                    assert found is not None
                    told = Told(history, name, at)
                    assert without_terms(found) == told.balance(time), (name, at, time)
                    seen.add(any(hold["expires_at"] <= time for hold in told.holds.values()))

    viewing(dsn, "balances", walk)
    assert seen == {True, False}, "no deadline came without being swept"


def test_later_and_later_balances_and_lists_leave_out_what_has_expired(fresh_store: Store) -> None:
    """A live read: the sweeper has stopped, and deadline after deadline passes."""
    life = Life(250, seed=12)
    history = life.history
    dsn = kept(fresh_store, history)
    told = {name: Told(history, name, history.end) for name in life.names}
    times = {history.now} | {
        at - by for at in deadlines(history) for by in (MICROSECOND, timedelta(0))
    }
    counts = []

    async def look(view: View) -> None:
        for time in sorted(time for time in times if time >= history.now):
            wanted = {name: each.balance(time) for name, each in told.items()}
            page = await balances(view, time=time, limit=10)
            found = {each["account"]: without_terms(each) for each in page.items}
            assert found == wanted
            summed = (await totals(view, time=time))["items"]
            for side in ("pending_debit", "pending_credit"):
                assert sum(each[side] for each in summed) == sum(
                    each[side] for each in wanted.values()
                )
            for name, each in told.items():
                listed = await holds(view, name, time=time, limit=500)
                assert listed is not None
                assert listed.items == each.open_at(time)
                counts.append(len(listed.items))

    viewing(dsn, "balances", look)
    assert len(set(counts)) > 3


# Deadlines --------------------------------------------------------------------------------


@pytest.mark.parametrize("swept", [False, True])
def test_a_hold_counts_until_one_microsecond_before_its_deadline(
    fresh_store: Store, swept: bool
) -> None:
    history = History().open("alice", overdraft_limit=100).open("bob")
    held = history.hold(("alice", "bob", 30), hold_timeout_s=60)
    at, deadline = history.end, START + timedelta(seconds=60)
    history.later(seconds=61)
    if swept:
        history.expire(held)
    else:
        history.open("carol")
    dsn = kept(fresh_store, history)

    async def look(view: View) -> None:
        for time, pending in ((deadline - MICROSECOND, 30), (deadline, 0)):
            alice = await balance(view, "alice", at=at, time=time)
            bob = await balance(view, "bob", at=at, time=time)
            assert alice is not None
            assert bob is not None
            assert (alice["pending_debit"], alice["available"]) == (pending, 100 - pending)
            assert (bob["pending_credit"], bob["posted"]) == (pending, 0)
        now = await balance(view, "alice", time=history.now)
        assert now is not None
        assert (now["pending_debit"], now["available"]) == (0, 100)

    viewing(dsn, "balances", look)


def test_a_change_between_deadline_and_read_keeps_what_was_pending_apart(
    fresh_store: Store,
) -> None:
    """A new limit tells no balances: the hold that expired before it is still in the row."""
    history = History().open("alice", overdraft_limit=100).open("bob")
    history.hold(("alice", "bob", 30), hold_timeout_s=60)
    history.later(seconds=90).change("alice", overdraft_limit=50).freeze("alice")
    dsn = kept(fresh_store, history)
    found: Any = viewing(dsn, "balances", lambda view: balance(view, "alice", time=history.now))
    assert (found["pending_debit"], found["available"], found["version"]) == (0, 50, 4)


# The list ---------------------------------------------------------------------------------


def test_open_holds_are_listed_as_they_were_held_page_by_page(fresh_store: Store) -> None:
    history = History().open("alice", "bob")
    made = [
        history.hold(
            ("alice", "bob", number), ("bob", "alice", 100 + number), hold_timeout_s=100 - number
        )
        for number in range(1, 8)
    ]
    history.void(made[3]).capture(made[0])
    dsn = kept(fresh_store, history)

    async def walk(view: View) -> list[Any]:
        found: list[Any] = []
        after = 0
        while True:
            page = await holds(view, "alice", time=history.now, after=after, limit=3)
            assert page is not None
            found += page.items
            if page.next is None:
                return found
            assert len(page.items) == 3
            (after,) = page.next

    found = viewing(dsn, "balances", walk)
    assert [(each["payment_id"], each["side"], each["amount"]) for each in found] == [
        (str(made[number - 1]), side, amount)
        for number in (2, 3, 5, 6, 7)
        for side, amount in (("debit", number), ("credit", 100 + number))
    ]
    assert viewing(dsn, "balances", lambda v: holds(v, "x", time=START, limit=1)) is None


# Many holds -------------------------------------------------------------------------------


def test_holds_that_ended_in_time_are_in_nobodys_way(
    fresh_store: Store, scaled: Callable[..., int], figure: Callable[..., None]
) -> None:
    """A shop's holds, captured or voided before deadlines that have all passed: a read touches
    the same few rows, live and as of a position in the middle."""
    history = History().open("cash", "shop", overdraft_limit=None)

    def come_and_go() -> None:
        for number in range(scaled(10_000)):
            held = history.hold(("cash", "shop", 10), hold_timeout_s=1000)
            (history.void if number % 3 else history.capture)(held)

    come_and_go()
    history.hold(("cash", "shop", 7), hold_timeout_s=500)
    history.hold(("cash", "shop", 5), hold_timeout_s=50_000)
    middle = history.end
    history.later(seconds=2000)
    come_and_go()
    end = history.end
    history.later(seconds=2000)
    dsn = kept(fresh_store, history, batch=5000)

    async def look(view: View) -> None:
        for at, after, pending in ((None, 4000, 5), (end, 2000, 5), (middle, 1999, 5)):
            counting: Any = Counting(view)
            time = START + timedelta(seconds=after)
            found = await balance(counting, "shop", at=at, time=time)
            assert found is not None
            assert found["pending_credit"] == pending
            figure(f"rows touched by a balance at {at}", counting.touched)
            assert counting.touched <= 10
        counting = Counting(view)
        page = await holds(counting, "shop", time=history.now, limit=50)
        assert page is not None
        assert [each["amount"] for each in page.items] == [5]
        assert counting.touched <= 10

    viewing(dsn, "balances", look)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("ANALYZE")
    viewing(dsn, "balances", look)


# Partitions -------------------------------------------------------------------------------


def test_while_partitions_run_apart_holds_are_as_of_the_watermark(fresh_store: Store) -> None:
    """One partition is beyond the watermark: there a hold is captured, another voided, a third
    made; at the watermark two are open, until their deadlines."""
    history = History().open("carol", overdraft_limit=1000).open("bob")
    one = history.hold(("carol", "bob", 10), hold_timeout_s=60)
    two = history.hold(("carol", "bob", 20), hold_timeout_s=90)
    seen = history.end
    history.later(seconds=10).capture(one, 4, final=False).capture(one).void(two)
    history.hold(("carol", "bob", 40), hold_timeout_s=90)
    feed, dsn = PartedFeed(history), fresh_store.app_dsn
    with closing(connect(dsn, "apart")) as connection:
        generation = live_generation(connection, PROJECTIONS["balances"], feed)
        for partition in generation.marks:
            part = generation.of([partition])
            of_carol = partition == next(r.partition for r in feed.records if r.key == "carol")
            part.apply(
                [
                    record
                    for record in feed.records
                    if record.partition == partition and (of_carol or record.position <= seen)
                ]
            )
    told = Told(history, "carol", seen)

    async def look(view: View) -> None:
        assert view.position == 0

    viewing(dsn, "balances", look)
    for after in (0, 10, 59, 60, 89, 90):
        time = START + timedelta(seconds=after)

        async def at_watermark(view: View, time: datetime = time) -> None:
            view = View(view.connection, view.generation, seen, view.recorded_at)
            found = await balance(view, "carol", time=time)
            assert found is not None
            assert without_terms(found) == told.balance(time)
            page = await holds(view, "carol", time=time, limit=10)
            assert page is not None
            assert page.items == told.open_at(time)
            (summed,) = (await totals(view, time=time, prefix="carol"))["items"]
            assert summed["pending_debit"] == found["pending_debit"]

        viewing(dsn, "balances", at_watermark)


# Accounts ---------------------------------------------------------------------------------


def test_velocity_limits_are_shown_as_their_command_was_answered(fresh_store: Store) -> None:
    limits = [
        {"window": "day", "carrier": None, "max_count": 3, "max_amount": None},
        {"window": "hour", "carrier": "qr", "max_count": None, "max_amount": 900},
    ]
    history = History().open("alice", "bob").change("alice", limits=limits)
    dsn = kept(fresh_store, history, ["accounts"])
    alice = viewing(dsn, "accounts", lambda view: account(view, "alice"))
    bob = viewing(dsn, "accounts", lambda view: account(view, "bob"))
    assert alice == {**account_resource(history.accounts["alice"]), "position": history.end}
    assert alice["limits"] == limits
    assert bob is not None
    assert bob["limits"] == []


def test_books_balance_whatever_is_held(fresh_store: Store) -> None:
    life = Life(100)
    dsn = kept(fresh_store, life.history)
    assert viewing(dsn, "balances", trial_balance)["balanced"]
