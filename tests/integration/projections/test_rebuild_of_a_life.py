"""A rebuild of whatever becomes of payments equals what was kept batch by batch."""

from __future__ import annotations

from threading import Event
from typing import Any

import psycopg
import pytest

from projections.rebuild import rebuild
from projections.registry import PROJECTIONS
from tests.fixtures.fix_events import History
from tests.fixtures.fix_life import Life
from tests.fixtures.fix_parted import PartedFeed
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_projections import catch_up, content, store_feed


def kept(store: Store, history: History, name: str) -> str:
    history.store(store.app_dsn)
    catch_up(store.app_dsn, [name], batch=5)
    return store.app_dsn


@pytest.mark.parametrize("name", PROJECTIONS)
@pytest.mark.parametrize("parted", [False, True])
def test_a_rebuild_equals_what_was_kept_batch_by_batch(
    fresh_store: Store, name: str, parted: bool
) -> None:
    history = Life(150).history
    dsn = kept(fresh_store, history, name)
    live = content(dsn, name)
    if name == "balances":
        assert all(live.values())

    def feed() -> Any:
        return PartedFeed(history) if parted else store_feed(dsn)

    assert rebuild(PROJECTIONS[name], dsn=dsn, open_feed=feed, stop=Event()).same
    after = content(dsn, name)
    assert after == live


def test_a_summary_tells_holds_that_differ(fresh_store: Store) -> None:
    history = Life(50).history
    dsn = kept(fresh_store, history, "balances")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            'UPDATE tally_read.balances_holds_history_g1 SET "left" = "left" + 1'
            " WHERE ctid = (SELECT min(ctid) FROM tally_read.balances_holds_history_g1)"
        )
    done = rebuild(
        PROJECTIONS["balances"], dsn=dsn, open_feed=lambda: store_feed(dsn), stop=Event()
    )
    assert done.same is False
