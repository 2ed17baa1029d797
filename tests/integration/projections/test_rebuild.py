"""A rebuild fills tables of its own while the live ones serve, and swaps at once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event, Thread

import psycopg
import pytest

from projections.balances.queries import trial_balance
from projections.reading import Reader, View
from projections.rebuild import Filled, RebuildStopped, RebuildUnderWay, Rebuilt, rebuild
from projections.registry import PROJECTIONS
from tests.fixtures.fix_events import History
from tests.fixtures.fix_forks import exit_code_of
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_projections import (
    catch_up,
    content,
    reached,
    reading,
    store_feed,
    viewing,
    workers,
)


def busy(payments: int) -> History:
    history = History().open(*(f"customers:{number}" for number in range(50)))
    for number in range(payments):
        debit, credit = f"customers:{number % 50}", f"customers:{number * 7 % 49}"
        if debit != credit:
            history.pay((debit, credit, 1 + number % 1000))
    return history


def rebuilt(
    dsn: str,
    name: str,
    *,
    stop: Event | None = None,
    progress: Callable[[Filled], None] = lambda _: None,
) -> Rebuilt:
    return rebuild(
        PROJECTIONS[name],
        dsn=dsn,
        open_feed=lambda: store_feed(dsn),
        stop=stop or Event(),
        progress=progress,
    )


def tables(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        return {
            row[0]
            for row in connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'tally_read'"
            )
        }


@pytest.mark.parametrize("name", PROJECTIONS)
def test_a_rebuild_from_zero_equals_the_live_read_model(fresh_store: Store, name: str) -> None:
    history, dsn = busy(300), fresh_store.app_dsn
    history.store(dsn)
    catch_up(dsn, [name], batch=17)
    live = content(dsn, name)
    done = rebuilt(dsn, name)
    assert (done.generation, done.position, done.same) == (2, history.end, True)
    assert content(dsn, name) == live
    assert not any(table.endswith("_g1") for table in tables(dsn))


def test_a_rebuild_makes_a_read_model_that_is_not_there(fresh_store: Store) -> None:
    history, dsn = busy(50), fresh_store.app_dsn
    history.store(dsn)
    assert rebuilt(dsn, "payments").same is None
    assert reached(dsn, history.end, "payments")


def test_a_difference_to_the_old_read_model_is_told(fresh_store: Store) -> None:
    history, dsn = busy(50), fresh_store.app_dsn
    history.store(dsn)
    catch_up(dsn, ["balances"])
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("UPDATE tally_read.balances_history_g1 SET posted = 1 WHERE posted = 0")
    assert rebuilt(dsn, "balances").same is False


@contextmanager
def beside(*loops: Callable[[], object]) -> Iterator[None]:
    """Runs each in a thread meanwhile; what one of them raises is raised here."""
    with ThreadPoolExecutor(len(loops)) as threads:
        running = [threads.submit(loop) for loop in loops]
        yield
        for each in running:
            each.result()


async def look(reader: Reader, over: Event) -> int:
    """Reads on and on, and gives how often."""
    position, looks = 0, 0
    while not over.is_set():
        async with reader.at("balances") as view:
            assert view.position >= position, "time went back"
            position = view.position
            await asyncio.sleep(0)
            found = await trial_balance(view)
        assert found["balanced"], "a torn table"
        assert found["currencies"][0]["total_debits"] > 0
        looks += 1
    return looks


def test_nobody_sees_a_rebuild_but_for_its_end(
    fresh_store: Store, scaled: Callable[..., int], figure: Callable[..., None]
) -> None:
    """Readers loop and workers follow: no older position, no torn table, no error."""
    history, dsn, over = busy(scaled(333_000)), fresh_store.app_dsn, Event()
    history.store(dsn)

    def pay() -> None:
        while not over.wait(0.005):
            history.pay(("customers:1", "customers:2", 1))
            history.store(dsn)

    def read() -> None:
        async def readers(reader: Reader) -> list[int]:
            return await asyncio.gather(*(look(reader, over) for _ in range(4)))

        figure("reads while three rebuilds ran", sum(reading(dsn, readers)))

    with workers(dsn):
        assert reached(dsn, history.end, timeout_s=600)
        with beside(pay, read):
            try:
                for generation in range(2, 5):
                    assert rebuilt(dsn, "balances").generation == generation
            finally:
                over.set()
        assert reached(dsn, history.end)
    live = content(dsn, "balances")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE tally_read.checkpoints, tally_read.pointers")
    catch_up(dsn, ["balances"])
    assert content(dsn, "balances") == live


def test_a_rebuild_shows_how_far_it_is_and_can_be_stopped(fresh_store: Store) -> None:
    history, dsn = busy(100), fresh_store.app_dsn
    history.store(dsn)
    catch_up(dsn, ["statements"])
    stop, seen = Event(), []

    def progress(step: Filled) -> None:
        seen.append(step)
        stop.set()
        history.pay(("customers:1", "customers:2", 1))
        history.store(dsn)

    with pytest.raises(RebuildStopped):
        rebuilt(dsn, "statements", stop=stop, progress=progress)
    assert (seen[0].done, seen[0].total) == (history.end - 3, history.end - 3)
    assert seen[0].rate > 0
    assert not any(table.endswith("_g2") for table in tables(dsn))
    assert rebuilt(dsn, "statements").generation == 2


def test_one_rebuild_of_a_projection_at_a_time(fresh_store: Store) -> None:
    history, dsn = busy(10), fresh_store.app_dsn
    history.store(dsn)

    def progress(_: Filled) -> None:
        with pytest.raises(RebuildUnderWay):
            rebuilt(dsn, "accounts")

    assert rebuilt(dsn, "accounts", progress=progress).position == history.end


def killed_while_filling(dsn: str) -> None:
    rebuilt(dsn, "balances", progress=lambda _: os._exit(9))


def test_what_a_killed_rebuild_leaves_behind_is_cleared_by_the_next(fresh_store: Store) -> None:
    history, dsn = busy(10), fresh_store.app_dsn
    history.store(dsn)
    catch_up(dsn, ["balances"])
    assert exit_code_of(killed_while_filling, dsn) == 9
    assert "balances_g2" in tables(dsn)
    assert rebuilt(dsn, "balances").position == history.end
    assert {table for table in tables(dsn) if table.startswith("balances_g")} == {"balances_g2"}


def test_after_a_restored_backup_a_rebuild_begins_a_new_history(fresh_store: Store) -> None:
    history, dsn = busy(20), fresh_store.app_dsn
    history.store(dsn)
    catch_up(dsn, ["accounts"])
    with psycopg.connect(fresh_store.owner_dsn, autocommit=True) as owner:
        owner.execute("DELETE FROM tally.events WHERE position > 10")
    assert rebuilt(dsn, "accounts").position == 10


def test_a_rebuild_waits_for_readers_that_began_before_the_swap(fresh_store: Store) -> None:
    history, dsn = busy(20), fresh_store.app_dsn
    history.store(dsn)
    catch_up(dsn, ["balances"])
    thread = Thread(target=rebuilt, args=(dsn, "balances"))

    async def hold(view: View) -> int:
        thread.start()
        await asyncio.sleep(1.0)
        assert thread.is_alive()
        found = await trial_balance(view)
        return int(found["position"])

    assert viewing(dsn, "balances", hold) == history.end
    thread.join()
