"""Positions have no gap, and who follows the store sees each of them once and in order."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any

import psycopg
import pytest

from application.ledger import Ledger
from application.ports import EndMoved
from infrastructure.mapper import EventMapper
from infrastructure.store_feed import StoreFeed
from projections.feed import Mark
from tests.fixtures.fix_ledger import a_ledger, a_writer, opened, payment
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_processes import Figure, Scaled

WRITERS = 3
PAGE = 7
"""Small, so that readers are always somewhere in the middle."""


class Tail:
    """Reads on from where it stands whenever the store says that its end moved."""

    def __init__(self, store: Store) -> None:
        self._feed = StoreFeed(store.app_dsn, EventMapper())
        self.seen: list[int] = []
        self.waits = 0

    def follow(self, end: Callable[[], int | None]) -> None:
        deadline = time.monotonic() + 200
        while (last := end()) is None or not self.seen or self.seen[-1] < last:
            assert time.monotonic() < deadline, f"it never saw {last}"
            records = self._feed.read({0: Mark(self.seen[-1] if self.seen else 0)}, PAGE)
            self.seen += [record.position for record in records]
            if not records:
                self.waits += 1
                self._feed.wait(0.5)
        self._feed.close()


def losing(ledger: Ledger, rival: Ledger, lost: list[int]) -> None:
    """Just before every tenth append of the ledger its rival appends, or somebody else has."""
    insert = ledger.store.insert_events
    calls = itertools.count(1)

    def insert_events(events: Any, **where: Any) -> Any:
        if (call := next(calls)) % 10 == 0:
            name = f"rival-{id(ledger)}-{call}"
            with suppress(EndMoved):
                rival.commit(rival.decide([opened(name, name)]))
        try:
            return insert(events, **where)
        except EndMoved:
            lost.append(where["decided_at"].position)
            raise

    ledger.store.insert_events = insert_events  # type: ignore[method-assign]


@pytest.mark.slow
def test_four_who_follow_the_store_see_every_position_once(
    fresh_store: Store, scaled: Scaled, figure: Figure
) -> None:
    payments = scaled(3_000)
    tails = [Tail(fresh_store) for _ in range(4)]
    lost: list[int] = []
    end: list[int] = []
    with ThreadPoolExecutor(4 + WRITERS) as threads, ExitStack() as stack:
        following = [threads.submit(tail.follow, lambda: end[0] if end else None) for tail in tails]
        ledgers = [stack.enter_context(a_ledger(fresh_store)) for _ in range(WRITERS)]
        writers = [stack.enter_context(a_writer(ledger)) for ledger in ledgers]
        writers[0].submit(opened("cash", "cash", normal_side="debit", overdraft_limit=None)).result(
            30
        )
        writers[0].submit(opened("alice", "alice")).result(30)
        for ledger in ledgers:
            losing(ledger, stack.enter_context(a_ledger(fresh_store)), lost)

        def pay(number: int) -> None:
            for count in range(payments // WRITERS):
                paid = payment(f"{number}-{count}", ("cash", "alice", 1))
                assert writers[number].submit(paid).result(60).refusal is None

        list(threads.map(pay, range(WRITERS)))
        with psycopg.connect(fresh_store.app_dsn) as conn:
            positions = [
                row[0]
                for row in conn.execute("SELECT position FROM tally.events ORDER BY position")
            ]
        end.append(positions[-1])
        for each in following:
            each.result(120)
    assert positions == list(range(1, len(positions) + 1))
    for tail in tails:
        assert tail.seen == positions
    assert len(lost) >= payments // 20
    figure("positions that four readers saw, each once", len(positions))
    figure("… appends that lost a race on the way", len(lost))
    figure("… waits for the store to say that its end moved", sum(tail.waits for tail in tails))
