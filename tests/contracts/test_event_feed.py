"""What every EventFeed must do; an adapter joins by a subclass that makes one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from threading import Timer

import pytest

from projections.feed import EventFeed, Record
from tests.fixtures.fix_events import History
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_projections import store_feed


class EventFeedContract:
    @pytest.fixture
    def feed(self, fresh_store: Store) -> Iterator[EventFeed]:
        with closing(self.make(fresh_store)) as feed:
            yield feed

    def make(self, store: Store) -> EventFeed:
        raise NotImplementedError

    def test_every_event_comes_once_and_in_order(self, feed: EventFeed, fresh_store: Store) -> None:
        history = _busy(60)
        history.store(fresh_store.app_dsn)
        records = _all(feed, limit=50)
        assert [record.position for record in records] == list(range(1, history.end + 1))
        assert [record.event for record in records] == history.events

    def test_each_record_names_the_one_before_it_in_its_partition(
        self, feed: EventFeed, fresh_store: Store
    ) -> None:
        _busy(60).store(fresh_store.app_dsn)
        before = dict.fromkeys(range(feed.partitions), 0)
        for record in _all(feed, limit=7):
            assert record.prevposition == before[record.partition]
            before[record.partition] = record.position

    @pytest.mark.parametrize("limit", [1, 2, 3, 4, 7])
    def test_a_batch_ends_where_a_command_ends(
        self, feed: EventFeed, fresh_store: Store, limit: int
    ) -> None:
        history = _busy(9)
        history.store(fresh_store.app_dsn)
        positions = dict.fromkeys(range(feed.partitions), 0)
        while batch := feed.read(positions, limit):
            last = batch[-1].position
            if last < history.end:
                assert history.events[last].command != batch[-1].event.command
            positions |= {record.partition: record.position for record in batch}
        assert max(positions.values()) == history.end

    def test_it_reads_again_from_wherever_it_is_asked_to(
        self, feed: EventFeed, fresh_store: Store
    ) -> None:
        history = _busy(20)
        history.store(fresh_store.app_dsn)
        positions = dict.fromkeys(range(feed.partitions), 0)
        first = feed.read(positions, 10)
        assert feed.read(positions, 10) == first
        assert feed.read(positions, 30)[: len(first)] == first

    def test_at_the_end_there_is_nothing_until_more_comes(
        self, feed: EventFeed, fresh_store: Store
    ) -> None:
        history = _busy(3)
        assert feed.end() == 0
        history.store(fresh_store.app_dsn)
        records = _all(feed, limit=1000)
        positions = {record.partition: record.position for record in records}
        assert not feed.read(positions, 1000)
        assert feed.end() == history.end
        history.pay(("alice", "bob", 1))
        history.store(fresh_store.app_dsn)
        assert [record.position for record in feed.read(positions, 1000)] == [
            history.end - 2,
            history.end - 1,
            history.end,
        ]

    def test_waiting_ends_with_an_append_and_with_the_time(
        self, feed: EventFeed, fresh_store: Store
    ) -> None:
        history = _busy(1)
        feed.wait(0.05)
        started = time.monotonic()
        feed.wait(0.2)
        assert 0.1 < time.monotonic() - started < 2
        timer = Timer(0.2, history.store, (fresh_store.app_dsn,))
        timer.start()
        started = time.monotonic()
        feed.wait(20)
        assert time.monotonic() - started < 10
        timer.join()

    def test_what_came_before_listening_began_is_not_waited_for(
        self, feed: EventFeed, fresh_store: Store
    ) -> None:
        _busy(1).store(fresh_store.app_dsn)
        started = time.monotonic()
        feed.wait(20)
        assert time.monotonic() - started < 10


class TestStoreFeed(EventFeedContract):
    def make(self, store: Store) -> EventFeed:
        return store_feed(store.app_dsn)


def _busy(payments: int) -> History:
    history = History().open("alice", "bob")
    for amount_minor in range(1, payments + 1):
        history.pay(("alice", "bob", amount_minor), ("bob", "alice", 1))
    return history


def _all(feed: EventFeed, limit: int) -> list[Record]:
    positions = dict.fromkeys(range(feed.partitions), 0)
    records: list[Record] = []
    while batch := feed.read(positions, limit):
        records += batch
        positions |= {record.partition: record.position for record in batch}
    return records
