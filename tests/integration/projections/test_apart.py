"""Partitions run apart: every read is at the watermark, and partitions change hands."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from itertools import pairwise
from threading import Event
from typing import Any
from uuid import UUID

import psycopg
import pytest

from application.history import NO_COMMAND
from domain.events import CommandDecided
from projections.accounts import queries as accounts
from projections.balances import queries as balances
from projections.feed import Record
from projections.generation import Generation, Halted, OtherFeed, connect, live_generation
from projections.ownership import Ownership
from projections.payments import carriers_queries, codes_queries
from projections.payments import queries as payments
from projections.payments import requests_queries as requests
from projections.reading import View
from projections.rebuild import rebuild
from projections.registry import PROJECTIONS
from tests.fixtures.fix_events import START, History
from tests.fixtures.fix_life import Life
from tests.fixtures.fix_parted import PartedFeed
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_projections import (
    catch_up,
    content,
    reached,
    store_feed,
    viewing,
    workers,
)
from tests.fixtures.fix_tally import until


def busy(commands: int, seed: int = 5) -> History:
    """Payments, and changes of accounts of every kind."""
    chance = random.Random(seed)
    names = [f"customers:{number}" for number in range(8)]
    history = History().open(*names)
    for number in range(commands):
        history.later(minutes=chance.randint(0, 100))
        one, other = chance.sample(names, 2)
        match number % 8:
            case 3:
                history.change(
                    one, overdraft_limit=chance.randint(0, 9), metadata={"n": str(number)}
                )
            case 5:
                history.freeze(one).unfreeze(one)
            case 7:
                names.append(f"late:{number}")
                history.open(names[-1])
            case _:
                history.pay((one, other, chance.randint(1, 900)), (other, one, 5))
    return history


async def everything(view: View) -> dict[str, Any]:
    """What clients can read of any projection at its watermark."""
    names = [row["id"] for row in (await accounts.accounts(view, limit=500)).items]
    return {
        "accounts": (await accounts.accounts(view, limit=500)).items,
        "one by one": [await accounts.account(view, name) for name in names],
        "frozen": (await accounts.accounts(view, status="frozen", limit=500)).items,
    }


async def sums(view: View) -> dict[str, Any]:
    """Right then, and when the deadlines of some holds have come."""
    listed = (await balances.balances(view, time=START, limit=500)).items
    names = [each["account"] for each in listed]
    times = [view.recorded_at or START, START + timedelta(hours=1), START + timedelta(days=9)]
    return {
        "balances": [(await balances.balances(view, time=time, limit=500)).items for time in times],
        "totals": [await balances.totals(view, time=time) for time in times],
        "holds": [
            await balances.holds(view, name, time=time, limit=500)
            for name in names
            for time in times
        ],
        "trial balance": (await balances.trial_balance(view))["currencies"],
    }


async def shown(view: View) -> dict[str, Any]:
    """Pay codes, devices, and what came by which carrier."""
    codes = await view.rows("SELECT id FROM tally_read.payments_pay_codes{g} ORDER BY id", {})
    devices = await view.rows("SELECT id FROM tally_read.payments_devices{g} ORDER BY id", {})
    told = [
        await codes_queries.pay_code(view, row["id"], now=time)
        for row in codes
        for time in (START, START + timedelta(days=9))
    ]
    days = [START.date() + timedelta(days=days) for days in (0, 1, 9)]
    return {
        "codes": [one for one in told if one],
        "devices": [one for row in devices if (one := await codes_queries.device(view, row["id"]))],
        "carriers": [
            await carriers_queries.carriers(view, first, end) for first, end in pairwise(days)
        ],
    }


async def listed(view: View) -> dict[str, Any]:
    times = [START, START + timedelta(hours=1), START + timedelta(days=9)]
    asked = [(await requests.requests(view, now=time, limit=500)).items for time in times]
    return {
        **await shown(view),
        "requests": asked,
        "of a state": [
            (await requests.requests(view, state=state, now=time, limit=500)).items
            for state in ("open", "paid", "canceled", "expired")
            for time in times
        ],
        "one by one": [
            await requests.request(view, UUID(one["id"]), now=START) for one in asked[0]
        ],
        "payments": [(await payments.payments(view, now=time, limit=500)).items for time in times],
        "held": (await payments.payments(view, state="held", now=START, limit=500)).items,
    }


READS = {"accounts": everything, "balances": sums, "payments": listed}


@pytest.mark.parametrize("name", READS)
def test_what_is_read_is_what_was_at_the_watermark(
    fresh_store: Store, name: str, new_store: Any
) -> None:
    """Partitions are moved on one by one, at random; a second read model stands still at each
    watermark on the way."""
    history, chance = Life(100).history, random.Random(1)
    feed, dsn = PartedFeed(history), fresh_store.app_dsn
    other = new_store()
    history.store(other.app_dsn)
    with (
        closing(connect(dsn, "apart")) as connection,
        closing(connect(other.app_dsn, "still")) as still,
        closing(store_feed(other.app_dsn)) as straight,
    ):
        whole = live_generation(connection, PROJECTIONS[name], feed)
        parts = {partition: whole.of([partition]) for partition in range(feed.partitions)}
        # It keeps what rows were, too: at a watermark within a command they are not yet changed.
        start = live_generation(still, PROJECTIONS[name], straight)
        reference = Generation(still, PROJECTIONS[name], start.number, start.marks, read_of=2)
        looks = 0
        while (watermark := min(part.watermark for part in parts.values())) < history.end:
            behind = min(parts.values(), key=lambda part: part.watermark)
            part = chance.choice([behind, *parts.values()])
            records = feed.read(part.marks, chance.randint(1, 3))
            # Now and then it hears how far the whole is, as of the progress record does.
            part.apply(records, feed.progress if chance.random() < 0.3 else None)
            reached = min(part.watermark for part in parts.values())
            if reached == watermark:
                continue
            for record in straight.read(reference.marks, 10_000):
                if record.position <= reached:
                    reference.apply([record])
            apart, at_once = (
                viewing(dsn, name, READS[name]),
                viewing(other.app_dsn, name, READS[name]),
            )
            assert apart == at_once, f"at {reached}"
            looks += 1
        assert looks > 20


def test_of_what_an_account_was_only_what_is_still_read_is_kept(fresh_store: Store) -> None:
    history, dsn = busy(200), fresh_store.app_dsn
    feed = PartedFeed(history)
    with closing(connect(dsn, "apart")) as connection:
        generation = live_generation(connection, PROJECTIONS["accounts"], feed)
        generation = generation.of(range(feed.partitions))
        most = 0
        while records := feed.read(generation.marks, 40):
            generation.apply(records, feed.progress)
            (kept,) = connection.execute(
                "SELECT count(*) FROM tally_read.accounts_before_g1"
            ).fetchone() or (0,)
            most = max(most, kept)
    assert 0 < most < history.end / 2


@pytest.mark.parametrize("name", ["accounts", "payments"])
def test_of_what_rows_were_nothing_is_kept_by_who_has_all_partitions_at_one_mark(
    fresh_store: Store, name: str
) -> None:
    history, dsn = Life(100).history, fresh_store.app_dsn
    with closing(connect(dsn, "apart")) as connection:
        generation = live_generation(connection, PROJECTIONS[name], PartedFeed(History()))
        generation = generation.of(generation.marks)
        shown = History()
        for upto in (history.end // 2, history.end):
            shown.events[:] = history.events[:upto]
            feed = PartedFeed(shown)
            generation.apply(feed.read(generation.marks, history.end), feed.progress)
            assert set(generation.marks.values()) == {feed.end().mark}
    kept = {table: rows for table, rows in content(dsn, name).items() if rows}
    assert kept
    assert not [table for table in kept if table.endswith(("_before", "_ahead"))]


def test_workers_share_the_partitions_and_one_that_ends_gives_back_its_own(
    fresh_store: Store,
) -> None:
    dsn = fresh_store.app_dsn
    with closing(connect(dsn, "one")) as one, closing(connect(dsn, "two")) as two:
        first = Ownership(one, "balances", feed="kafka", partitions=12)
        assert first.refresh() == frozenset(range(12))
        second = Ownership(two, "balances", feed="kafka", partitions=12)
        assert second.refresh() == frozenset()
        half = first.refresh()
        assert len(half) == 6
        assert second.refresh() == frozenset(range(12)) - half
        with closing(connect(dsn, "three")) as three:
            third = Ownership(three, "balances", feed="kafka", partitions=12)
            for each in (first, second, third):
                each.refresh()
            shares = [each.refresh() for each in (first, second, third)]
            assert sorted(map(len, shares)) == [4, 4, 4]
            assert frozenset.union(*shares) == frozenset(range(12))
        one.close()
        until(lambda: second.refresh() == frozenset(range(12)))


def test_a_projection_does_not_share_with_another_one(fresh_store: Store) -> None:
    dsn = fresh_store.app_dsn
    with closing(connect(dsn, "one")) as one, closing(connect(dsn, "two")) as two:
        for connection, name in ((one, "balances"), (two, "payments")):
            ownership = Ownership(connection, name, feed="kafka", partitions=12)
            assert ownership.refresh() == frozenset(range(12))


def test_three_who_share_come_to_the_same_as_one(fresh_store: Store) -> None:
    history, dsn = busy(150), fresh_store.app_dsn
    with (
        workers(dsn, open_feed=lambda: PartedFeed(history)) as first,
        workers(dsn, open_feed=lambda: PartedFeed(history)),
        workers(dsn, open_feed=lambda: PartedFeed(history)),
    ):
        assert reached(dsn, history.end // 2)
        first.set()
        assert reached(dsn, history.end)
    assert_as_from_zero(history, dsn)


def test_a_read_model_changes_its_feed_either_way(fresh_store: Store) -> None:
    history, dsn = busy(20), fresh_store.app_dsn
    for feed in (None, lambda: PartedFeed(history), None, lambda: PartedFeed(history)):
        history.pay(("customers:1", "customers:2", 7))
        history.store(dsn)
        with workers(dsn, open_feed=feed):
            assert reached(dsn, history.end)
    assert_as_from_zero(history, dsn)


def test_two_that_read_different_feeds_do_not_take_a_read_model_from_each_other(
    fresh_store: Store,
) -> None:
    history, dsn = busy(20), fresh_store.app_dsn
    history.store(dsn)
    with workers(dsn, "balances") as first:
        assert reached(dsn, history.end, "balances")
        with workers(dsn, "balances", open_feed=lambda: PartedFeed(history)):
            history.pay(("customers:1", "customers:2", 7))
            history.store(dsn)
            assert reached(dsn, history.end, "balances")
            assert feed_of(dsn, "balances") == "store"
            first.set()
            history.pay(("customers:1", "customers:2", 7))
            assert reached(dsn, history.end, "balances")
            assert feed_of(dsn, "balances") == "kafka"


def test_from_partitions_that_stand_apart_there_is_no_way_back_but_a_rebuild(
    fresh_store: Store,
) -> None:
    history, dsn = busy(20), fresh_store.app_dsn
    history.store(dsn)
    feed, projection = PartedFeed(history), PROJECTIONS["payments"]
    with closing(connect(dsn, "test")) as connection, closing(store_feed(dsn)) as straight:
        generation = live_generation(connection, projection, feed)
        partition = feed.records[0].partition
        generation.of([partition]).apply(feed.records[:1])
        with pytest.raises(OtherFeed, match="stand apart: rebuild it from the store"):
            live_generation(connection, projection, straight)
        done = rebuild(projection, dsn=dsn, open_feed=lambda: store_feed(dsn), stop=Event())
        assert done.position == history.end
        assert live_generation(connection, projection, straight).watermark == history.end


@pytest.mark.parametrize("name", PROJECTIONS)
def test_a_rebuild_from_partitions_agrees_and_its_workers_of_either_feed_go_on(
    fresh_store: Store, name: str
) -> None:
    history, dsn = busy(60), fresh_store.app_dsn
    history.store(dsn)
    with workers(dsn, name):
        assert reached(dsn, history.end, name)
        for _ in range(2):
            done = rebuild(
                PROJECTIONS[name], dsn=dsn, open_feed=lambda: PartedFeed(history), stop=Event()
            )
            assert done.same
            history.pay(("customers:1", "customers:2", 7))
            history.store(dsn)
            assert reached(dsn, history.end, name)
            assert feed_of(dsn, name) == "store"


def test_an_event_that_cannot_be_applied_halts_its_partition(fresh_store: Store) -> None:
    """Of a command that the record doesn't tell, too: what is before it is applied."""
    history, dsn = busy(20), fresh_store.app_dsn
    feed, projection = PartedFeed(history), PROJECTIONS["accounts"]
    bad = next(
        record
        for record in feed.records
        if record.position > 30 and isinstance(record.event, CommandDecided)
    )
    object.__setattr__(bad.event, "command", NO_COMMAND)

    def apply(connection: Any, generation: int, records: Sequence[Record]) -> None:
        if bad in records:
            raise ValueError("can't make sense of it")
        projection.apply(connection, generation, records)

    with closing(connect(dsn, "test")) as connection:
        wrong = dataclasses.replace(projection, apply=apply)
        generation = live_generation(connection, wrong, feed)
        with pytest.raises(Halted, match="can't make sense of it") as halted:
            generation.apply(feed.read(generation.marks, 1000))
    assert (halted.value.position, halted.value.partition) == (bad.position, bad.partition)
    assert generation.marks[bad.partition].position == bad.prevposition


def feed_of(dsn: str, name: str) -> str:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(
            "SELECT feed FROM tally_read.pointers WHERE projection = %s", (name,)
        ).fetchone()
    assert row is not None
    return str(row[0])


def assert_as_from_zero(history: History, dsn: str) -> None:
    history.store(dsn)
    followed = {name: content(dsn, name) for name in PROJECTIONS}
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE tally_read.checkpoints, tally_read.pointers")
    catch_up(dsn)
    for name in PROJECTIONS:
        assert without_before(content(dsn, name)) == without_before(followed[name])


def without_before(tables: dict[str, Any]) -> dict[str, Any]:
    return {
        table: rows for table, rows in tables.items() if not table.endswith(("_before", "_ahead"))
    }
