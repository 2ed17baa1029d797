"""Rebuilds of a million events, and what a hot account's statement costs after them."""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Callable
from datetime import date
from threading import Event
from typing import Any

import pytest

from infrastructure.reconcile import reconcile
from projections.reading import View
from projections.rebuild import rebuild
from projections.registry import PROJECTIONS
from projections.statements.queries import statement
from tests.fixtures.fix_events import History
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_projections import Counting, store_feed, viewing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def test_rebuilds(
    fresh_store: Store, scaled: Callable[..., int], figure: Callable[..., None]
) -> None:
    """Events/s from an empty table to the swap, indexes and all; every other payment is on one
    hot account."""
    chance = random.Random(1)
    dsn = fresh_store.app_dsn
    names = [f"customers:{number}" for number in range(5_000)]
    history = History().open("hot").open(*names)
    events = scaled(1_000_000)
    while (end := history.end) < events:
        if end % 3000 < 3:
            history.later(minutes=30)
        debit, credit = chance.sample(names, 2)
        history.pay(
            (debit, "hot" if end % 2 else credit, chance.randint(1, 9_999)),
            reference=f"order-{end}",
        )
        if end % 50_000 < 3:
            history.store(dsn)
    end = history.store(dsn)
    for name, projection in PROJECTIONS.items():
        done = rebuild(projection, dsn=dsn, open_feed=lambda: store_feed(dsn), stop=Event())
        assert done.position == end
        figure(f"rebuild of {name}, events/s", int(done.fill_rate))

    began = time.perf_counter()
    report = reconcile(dsn, snapshot_differs=lambda _: False)
    assert report.good, report.differences
    figure("reconcile, events/s", int(end / (time.perf_counter() - began)))

    async def look(view: View) -> tuple[float, int]:
        counted: Any = Counting(view)
        period: dict[str, Any] = {"from_": date(2026, 11, 24), "to": date(2026, 11, 26)}
        await statement(counted, "hot", **period, at=end // 2, limit=50)
        started = time.perf_counter()
        for _ in range(20):
            await statement(view, "hot", **period, at=end // 2, limit=50)
        return (time.perf_counter() - started) / 20, counted.touched

    seconds, touched = viewing(dsn, "statements", look)
    figure("a hot account's statement page, ms", seconds * 1000)
    figure("a hot account's statement page, rows touched", touched)
    figure("memory of this process, MB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
