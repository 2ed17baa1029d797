"""A worker applies each event once, whatever is delivered twice and whenever it is killed."""

from __future__ import annotations

import dataclasses
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from types import UnionType
from typing import Any

import psycopg
import pytest

from projections.checkpoints import LostCheckpoint
from projections.feed import EventFeed, Mark, Progress, Record
from projections.generation import Halted, connect, live_generation
from projections.reading import Reader, Standing
from projections.registry import PROJECTIONS
from projections.worker import Applied, Halt
from tests.fixtures.fix_events import History
from tests.fixtures.fix_forks import exit_code_of
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_projections import (
    catch_up,
    content,
    reached,
    reading,
    store_feed,
    workers,
)


class Twice:
    """A feed that delivers again what was delivered before."""

    def __init__(self, feed: EventFeed, chance: random.Random) -> None:
        self._feed = feed
        self._chance = chance
        self.name, self.partitions, self.paced = feed.name, feed.partitions, feed.paced

    @property
    def progress(self) -> Progress | None:
        return self._feed.progress

    def leave_out(self, events: UnionType) -> None:
        self._feed.leave_out(events)

    def read(self, after: Mapping[int, Mark], limit: int) -> Sequence[Record]:
        back = self._chance.randint(0, 30)
        return self._feed.read({0: Mark(max(0, after[0].position - back))}, limit)

    def end(self) -> Progress:
        return self._feed.end()

    def find(self, mark: Mark) -> Mark | None:
        return self._feed.find(mark)

    def wait(self, timeout_s: float) -> None:
        self._feed.wait(timeout_s)

    def close(self) -> None:
        self._feed.close()


class Holed(Twice):
    """A feed that has lost one event."""

    def __init__(self, feed: EventFeed, lost: int) -> None:
        super().__init__(feed, random.Random())
        self._lost = lost

    def read(self, after: Mapping[int, Mark], limit: int) -> Sequence[Record]:
        return [each for each in self._feed.read(after, limit) if each.position != self._lost]


def busy(payments: int, seed: int = 1) -> History:
    """Payments to and fro among five accounts, over some days, some valued on others."""
    chance = random.Random(seed)
    names = [f"customers:{number}" for number in range(5)]
    history = History().open(*names)
    for _ in range(payments):
        history.later(minutes=chance.randint(0, 300))
        debit, credit = chance.sample(names, 2)
        day = history.now.date().replace(day=chance.randint(1, 28))
        history.pay(
            (debit, credit, chance.randint(1, 10_000)),
            value_date=chance.choice([None, None, day]),
            reference=chance.choice([None, "order-17"]),
        )
    return history


def standing(dsn: str, name: str) -> Standing:
    async def run(reader: Reader) -> Standing:
        return (await reader.standings([name]))[name]

    return reading(dsn, run)


def until(holds: Callable[[], bool], timeout_s: float = 20) -> bool:
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def killed_while_applying(dsn: str, name: str, batch: int, deadly: int, seed: float) -> None:
    """A worker's steps, up to after the `deadly`-th fold was written and before its commit."""
    applied = 0

    def apply(connection: Any, generation: int, records: Sequence[Record]) -> None:
        nonlocal applied
        PROJECTIONS[name].apply(connection, generation, records)
        applied += 1
        if applied == deadly:
            os._exit(9)

    projection = dataclasses.replace(PROJECTIONS[name], apply=apply)
    with (
        closing(connect(dsn, "tally test")) as connection,
        closing(Twice(store_feed(dsn), random.Random(seed))) as feed,
    ):
        generation = live_generation(connection, projection, feed)
        while generation.watermark < feed.end().mark.position:
            generation.apply(feed.read(generation.marks, batch))


@pytest.mark.parametrize("name", PROJECTIONS)
def test_a_worker_killed_before_its_commit_leaves_nothing_half_done(
    fresh_store: Store, scaled: Callable[..., int], name: str, figure: Callable[..., None]
) -> None:
    """With duplicates fed to it all the while."""
    chance = random.Random(7)
    history = busy(scaled(5000))
    dsn = fresh_store.app_dsn
    history.store(dsn)
    codes = Counter(
        exit_code_of(
            killed_while_applying,
            *(dsn, name, chance.randint(1, 40), chance.randint(1, 3), chance.random()),
        )
        for _ in range(scaled(100))
    )
    assert codes[9]
    assert set(codes) <= {0, 9}
    figure(f"kills between apply and commit, {name}", codes[9])
    catch_up(dsn, [name], batch=13)
    in_steps = content(dsn, name)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE tally_read.checkpoints, tally_read.pointers")
    catch_up(dsn, [name], batch=10_000)
    assert content(dsn, name) == in_steps


def test_workers_in_threads_come_to_the_same_as_a_single_pass(fresh_store: Store) -> None:
    history, dsn = busy(50), fresh_store.app_dsn
    applied: list[Applied | Halt] = []
    chance = random.Random(3)
    with workers(dsn, open_feed=lambda: Twice(store_feed(dsn), chance), observe=applied.append):
        for _ in range(10):
            history.pay(("customers:1", "customers:2", 5))
            history.store(dsn)
        assert reached(dsn, history.end)
    followed = {name: content(dsn, name) for name in PROJECTIONS}
    of_use = sum(
        not isinstance(event, projection.leaves_out)
        for projection in PROJECTIONS.values()
        for event in history.events
    )
    assert sum(each.records for each in applied if isinstance(each, Applied)) == of_use
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE tally_read.checkpoints, tally_read.pointers")
    catch_up(dsn)
    assert {name: content(dsn, name) for name in PROJECTIONS} == followed


def test_of_two_that_apply_the_same_records_one_loses_its_checkpoint(fresh_store: Store) -> None:
    history, dsn = busy(10), fresh_store.app_dsn
    history.store(dsn)
    projection = PROJECTIONS["balances"]
    with (
        closing(connect(dsn, "one")) as one,
        closing(connect(dsn, "other")) as other,
        closing(store_feed(dsn)) as feed,
    ):
        first = live_generation(one, projection, feed)
        second = live_generation(other, projection, feed)
        records = feed.read(first.marks, 1000)
        assert first.apply(records) == history.end
        with pytest.raises(LostCheckpoint):
            second.apply(records)
    rows = content(dsn, "balances")["balances_history"]
    assert len(rows) == len({row[1] for row in rows}) == 5 + 20


def test_a_standby_takes_over(fresh_store: Store) -> None:
    history, dsn = busy(5), fresh_store.app_dsn
    with workers(dsn, "balances") as first:
        history.store(dsn)
        assert reached(dsn, history.end, "balances")
        with workers(dsn, "balances"):
            first.set()
            history.pay(("customers:1", "customers:2", 5))
            history.store(dsn)
            assert reached(dsn, history.end, "balances")


def test_workers_whose_connections_are_cut_come_back(fresh_store: Store) -> None:
    history, dsn = busy(5), fresh_store.app_dsn
    with workers(dsn):
        for _ in range(3):
            history.pay(("customers:1", "customers:2", 5))
            history.store(dsn)
            with psycopg.connect(fresh_store.owner_dsn, autocommit=True) as owner:
                owner.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            assert until(lambda: reached(dsn, history.end, timeout_s=5))


def test_a_gap_halts_the_projection_loudly_and_the_others_go_on(fresh_store: Store) -> None:
    history, dsn = busy(5), fresh_store.app_dsn
    history.store(dsn)
    seen: list[Applied | Halt] = []
    with (
        workers(
            dsn,
            "balances",
            open_feed=lambda: Holed(store_feed(dsn), lost=12),
            observe=seen.append,
        ),
        workers(dsn, "payments"),
    ):
        assert reached(dsn, history.end, "payments")
        assert until(lambda: any(isinstance(each, Halt) for each in seen))
        assert until(lambda: standing(dsn, "balances").halted_position == 10)
        halted = standing(dsn, "balances")
        assert halted.position == 0
        assert halted.halted_reason == "gap: 13 follows 12, but 9 was applied last"
    with workers(dsn, "balances"):
        assert reached(dsn, history.end, "balances")
        assert standing(dsn, "balances").halted_position is None


def test_an_event_that_cannot_be_read_is_never_skipped(fresh_store: Store) -> None:
    history, dsn = busy(5), fresh_store.app_dsn
    history.store(dsn)
    with psycopg.connect(fresh_store.owner_dsn, autocommit=True) as owner:
        row = owner.execute("SELECT payload FROM tally.events WHERE position = 15").fetchone()
        assert row
        owner.execute("UPDATE tally.events SET payload = '[1]' WHERE position = 15")
        with workers(dsn, "statements"):
            assert until(
                lambda: (
                    reached(dsn, 13, "statements")
                    and standing(dsn, "statements").halted_position == 15
                )
            )
            assert standing(dsn, "statements").position == 13
        owner.execute("UPDATE tally.events SET payload = %s WHERE position = 15", row)
    with workers(dsn, "statements"):
        assert reached(dsn, history.end, "statements")


def test_an_event_that_the_store_has_lost_is_never_passed_by(fresh_store: Store) -> None:
    """Also where nothing comes after it but what the projection leaves out."""
    history, dsn = History().open("alice", "bob"), fresh_store.app_dsn
    history.pay(("alice", "bob", 1))
    lost = history.end
    history.freeze("bob").store(dsn)
    with psycopg.connect(fresh_store.owner_dsn, autocommit=True) as owner:
        owner.execute("DELETE FROM tally.events WHERE position = %s", (lost,))
    seen: list[Applied | Halt] = []
    with workers(dsn, "statements", observe=seen.append):
        assert until(lambda: any(isinstance(each, Halt) for each in seen))
        assert until(lambda: standing(dsn, "statements").halted_position == lost)
        halted = standing(dsn, "statements")
        assert halted.position < lost
        assert halted.halted_reason == f"gap: {lost + 1} follows {lost - 1}"


def test_an_event_that_cannot_be_applied_halts_at_its_command(fresh_store: Store) -> None:
    history, dsn = busy(5), fresh_store.app_dsn
    history.store(dsn)
    projection = PROJECTIONS["payments"]

    def apply(connection: Any, generation: int, records: Sequence[Record]) -> None:
        if any(record.position == 15 for record in records):
            raise ValueError("can't make sense of it")
        projection.apply(connection, generation, records)

    with closing(connect(dsn, "test")) as connection, closing(store_feed(dsn)) as feed:
        wrong = dataclasses.replace(projection, apply=apply)
        generation = live_generation(connection, wrong, feed)
        with pytest.raises(Halted, match="can't make sense of it") as halted:
            generation.apply(feed.read(generation.marks, 1000))
        assert halted.value.position == 14
        assert generation.watermark == 13
        assert standing(dsn, "payments").position == 13


def test_a_restored_backup_is_refused(fresh_store: Store) -> None:
    history, dsn = busy(5), fresh_store.app_dsn
    history.store(dsn)
    with workers(dsn, "accounts"):
        assert reached(dsn, history.end, "accounts")
    with psycopg.connect(fresh_store.owner_dsn, autocommit=True) as owner:
        owner.execute("DELETE FROM tally.events WHERE position > 10")
    another = busy(5, seed=2)
    another._stored = 10
    another.store(dsn)
    with workers(dsn, "accounts"):
        assert until(lambda: standing(dsn, "accounts").halted_position == history.end)
    assert "another history" in str(standing(dsn, "accounts").halted_reason)


def test_read_models_that_somebody_dropped_come_back(fresh_store: Store) -> None:
    history, dsn = busy(20), fresh_store.app_dsn
    history.store(dsn)
    catch_up(dsn)
    before = {name: content(dsn, name) for name in PROJECTIONS}
    with psycopg.connect(fresh_store.owner_dsn, autocommit=True) as owner, workers(dsn):
        tables = owner.execute(
            "SELECT string_agg('tally_read.' || tablename, ', ') FROM pg_tables"
            " WHERE schemaname = 'tally_read'"
        ).fetchone()
        assert tables
        owner.execute(f"DROP TABLE {tables[0]}".encode())
        assert until(lambda: reached(dsn, history.end, timeout_s=5))
    assert {name: content(dsn, name) for name in PROJECTIONS} == before


@pytest.mark.parametrize("name", PROJECTIONS)
def test_read_models_of_an_older_shape_are_made_anew(fresh_store: Store, name: str) -> None:
    history, dsn = busy(20), fresh_store.app_dsn
    history.store(dsn)
    catch_up(dsn)
    before = content(dsn, name)
    with psycopg.connect(fresh_store.owner_dsn, autocommit=True) as owner:
        table = PROJECTIONS[name].tables[0]
        owner.execute(f"ALTER TABLE tally_read.{table}_g1 DROP COLUMN position CASCADE".encode())
        owner.execute(f"COMMENT ON TABLE tally_read.{table}_g1 IS 'of an older version'".encode())

    def is_back() -> bool:
        with suppress(psycopg.errors.UndefinedTable):
            return content(dsn, name) == before
        return False

    with workers(dsn):
        assert until(is_back)
