"""What every EventFeed must do; an adapter joins by a subclass that makes one."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from threading import Timer

import pytest

from projections.feed import START, EventFeed, Mark, Progress, Record
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
        marks = start(feed)
        while batch := feed.read(marks, limit):
            last = batch[-1].position
            if last < history.end:
                assert history.events[last].command != batch[-1].event.command
            marks |= {record.partition: record.mark for record in batch}
        assert max(mark.position for mark in marks.values()) == history.end

    def test_it_reads_again_from_wherever_it_is_asked_to(
        self, feed: EventFeed, fresh_store: Store
    ) -> None:
        history = _busy(20)
        history.store(fresh_store.app_dsn)
        marks = start(feed)
        first = read(feed, marks, 10)
        assert read(feed, marks, 10)[: len(first)] == first
        marks |= {record.partition: record.mark for record in first}
        second = read(feed, marks, 10)
        assert all(record.position > marks[record.partition].position for record in second)
        assert read(feed, start(feed), 30)[: len(first)] == first
        assert read(feed, marks, 10)[: len(second)] == second

    def test_at_the_end_there_is_nothing_until_more_comes(
        self, feed: EventFeed, fresh_store: Store
    ) -> None:
        history = _busy(3)
        assert feed.end() == Progress(START, dict.fromkeys(range(feed.partitions), 0))
        history.store(fresh_store.app_dsn)
        records = _all(feed, limit=1000)
        marks = start(feed) | {record.partition: record.mark for record in records}
        assert not feed.read(marks, 1000)
        assert feed.end() == Progress(
            records[-1].mark, {partition: mark.position for partition, mark in marks.items()}
        )
        history.pay(("alice", "bob", 1))
        history.store(fresh_store.app_dsn)
        more = _all(feed, limit=1000, after=marks)
        assert [record.position for record in more] == [
            history.end - 2,
            history.end - 1,
            history.end,
        ]

    def test_it_finds_what_stands_at_a_mark(self, feed: EventFeed, fresh_store: Store) -> None:
        history = _busy(20)
        history.store(fresh_store.app_dsn)
        for record in _all(feed, limit=1000):
            assert feed.find(record.mark) == record.mark
            other = record.mark._replace(event_id="another:1")
            assert feed.find(other) == record.mark

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


def start(feed: EventFeed) -> dict[int, Mark]:
    return dict.fromkeys(range(feed.partitions), START)


def read(feed: EventFeed, marks: Mapping[int, Mark], limit: int) -> Sequence[Record]:
    """The next records; waits for a feed that has to fetch them first."""
    deadline = time.monotonic() + 20
    while not (records := feed.read(marks, limit)) and time.monotonic() < deadline:
        feed.wait(0.1)
    return records


def _all(feed: EventFeed, limit: int, after: Mapping[int, Mark] | None = None) -> list[Record]:
    """Every record up to the end there is, in order of position."""
    marks = dict(after or start(feed))
    records: list[Record] = []
    wanted = sum(feed.end().last[partition] > mark.position for partition, mark in marks.items())
    while wanted:
        batch = read(feed, marks, limit)
        assert batch, "the feed ends early"
        records += batch
        marks |= {record.partition: record.mark for record in batch}
        last = feed.end().last
        wanted = sum(last[partition] > mark.position for partition, mark in marks.items())
    return sorted(records, key=lambda record: record.position)
