"""Reads at the watermark, and waiting for it."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC
from typing import Any

import psycopg
import pytest

from projections.balances.queries import balance
from projections.reading import Reader, ReadModelMissing
from tests.fixtures.fix_events import History
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_projections import catch_up, reached, reading, workers


def test_a_read_model_that_is_not_there_says_so(fresh_store: Store) -> None:
    async def look(reader: Reader) -> None:
        assert await reader.standings(["balances"]) == {}
        assert await reader.wait_for("balances", 5, 0.05) == 0
        with pytest.raises(ReadModelMissing):
            async with reader.at("balances"):
                pass

    reading(fresh_store.app_dsn, look)
    History().open("alice").store(fresh_store.app_dsn)
    catch_up(fresh_store.app_dsn, ["accounts"])
    reading(fresh_store.app_dsn, look)


def test_a_view_is_one_snapshot_however_long_it_is_open(fresh_store: Store) -> None:
    history, dsn = History().open("alice", "bob"), fresh_store.app_dsn
    history.store(dsn)
    catch_up(dsn, ["balances"])

    async def look(reader: Reader) -> None:
        async with reader.at("balances") as view:
            assert view.position == 4
            assert view.recorded_at == history.now.astimezone(UTC)
            history.pay(("alice", "bob", 5))
            history.store(dsn)
            await asyncio.to_thread(catch_up, dsn, ["balances"])
            found = await balance(view, "alice", time=history.now)
            assert found is not None
            assert (found["posted"], found["position"]) == (0, 4)
        async with reader.at("balances") as view:
            found = await balance(view, "alice", time=history.now)
            assert found is not None
            assert (found["posted"], found["position"]) == (-5, 7)

    reading(dsn, look)


def test_many_wait_with_one_poller_and_each_gets_its_position(fresh_store: Store) -> None:
    history, dsn = History().open("alice", "bob"), fresh_store.app_dsn
    history.store(dsn)

    async def pollers(*, there: bool) -> list[asyncio.Task[Any]]:
        """Once there is any, or none: when that is depends on what else the machine does."""
        for _ in range(1000):
            found = [task for task in asyncio.all_tasks() if task.get_name() == "watermarks"]
            if bool(found) == there:
                break
            await asyncio.sleep(0.01)
        return found

    async def look(reader: Reader) -> None:
        waiters = [
            asyncio.create_task(reader.wait_for("balances", 4 + 3 * number, 20))
            for number in range(1, 101)
        ]
        late = asyncio.create_task(reader.wait_for("balances", 10_000, 0.3))
        assert len(await pollers(there=True)) == 1
        for _ in range(100):
            history.pay(("alice", "bob", 1))
        await asyncio.to_thread(history.store, dsn)
        for number, reached_ in enumerate(await asyncio.gather(*waiters), 1):
            assert reached_ >= 4 + 3 * number
        assert await late < 10_000
        assert not await pollers(there=False)

    with workers(dsn, "balances"):
        assert reached(dsn, history.end, "balances")
        reading(dsn, look)


def test_who_waits_is_told_when_the_store_is_gone(fresh_store: Store) -> None:
    dsn = fresh_store.app_dsn
    History().open("alice").store(dsn)
    catch_up(dsn, ["balances"])

    async def look(reader: Reader) -> None:
        waiter = asyncio.create_task(reader.wait_for("balances", 10, 20))
        await asyncio.sleep(0.1)
        with psycopg.connect(fresh_store.owner_dsn, autocommit=True) as owner:
            owner.execute("ALTER TABLE tally_read.checkpoints RENAME position TO elsewhere")
        with pytest.raises(psycopg.Error):
            await waiter

    reading(dsn, look)


def test_an_event_is_readable_within_milliseconds(fresh_store: Store) -> None:
    """A bound for a loaded machine: far below any polling interval of seconds."""
    history, dsn = History().open("alice", "bob"), fresh_store.app_dsn
    history.store(dsn)

    async def look(reader: Reader) -> float:
        lags = []
        for _ in range(20):
            history.pay(("alice", "bob", 1))
            await asyncio.to_thread(history.store, dsn)
            started = time.monotonic()
            assert await reader.wait_for("balances", history.end, 20) >= history.end
            lags.append(time.monotonic() - started)
        return sorted(lags)[10]

    with workers(dsn, "balances"):
        assert reached(dsn, history.end, "balances")
        assert reading(dsn, look) < 0.25
