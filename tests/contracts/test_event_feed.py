"""What every EventFeed must do; an adapter joins by a subclass that makes one."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from threading import Timer
from typing import Any

import pytest

from api.composition.kafka_feed import kafka_feed
from application.history import NO_COMMAND, NO_FINGERPRINT
from domain.events import AccountOpened, CommandDecided, LedgerEvent, PaymentDecided
from infrastructure.kafka.feed import KafkaFeed
from projections.feed import START, EventFeed, Mark, Progress, Record
from tests.fixtures.fix_events import History
from tests.fixtures.fix_kafka import SharedBroker
from tests.fixtures.fix_mirror import mirroring
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_projections import store_feed
from tests.fixtures.fix_tally import until


class EventFeedContract:
    """A subclass has the fixtures `store` and `feed`, which reads that store's events."""

    def as_fed(self, event: LedgerEvent) -> LedgerEvent:
        """What comes of an event: all of it, unless a subclass says otherwise."""
        return event

    def test_every_event_comes_once_and_in_order(self, feed: EventFeed, store: Store) -> None:
        history = busy(store, 60)
        history.store(store.app_dsn)
        records = _all(feed, history, limit=50)
        assert [record.position for record in records] == list(range(1, history.end + 1))
        assert [record.event for record in records] == list(map(self.as_fed, history.events))

    def test_each_record_names_the_one_before_it_in_its_partition(
        self, feed: EventFeed, store: Store
    ) -> None:
        history = busy(store, 60)
        history.store(store.app_dsn)
        before = dict.fromkeys(range(feed.partitions), 0)
        for record in _all(feed, history, limit=7):
            assert record.prevposition == before[record.partition]
            before[record.partition] = record.position

    @pytest.mark.parametrize("limit", [1, 4, 50])
    def test_what_the_reader_has_no_use_for_may_be_left_out_and_nothing_else(
        self, feed: EventFeed, store: Store, limit: int
    ) -> None:
        history = busy(store, 20).freeze("bob")  # which ends with what is left out
        history.store(store.app_dsn)
        feed.leave_out(PaymentDecided | CommandDecided)
        kept = [
            position
            for position, event in enumerate(history.events, 1)
            if not isinstance(event, PaymentDecided | CommandDecided)
        ]
        marks, before, read_ = start(feed), dict.fromkeys(range(feed.partitions), 0), set()
        deadline = time.monotonic() + 20
        while min(mark.position for mark in marks.values()) < history.end:
            assert time.monotonic() < deadline
            for record in read(feed, marks, limit):
                assert record.prevposition == before[record.partition]
                marks[record.partition] = record.mark
                before[record.partition] = record.position
                read_.add(record.position)
            for partition, mark in marks.items():
                assert feed.progress is not None
                if feed.progress.last[partition] <= mark.position:
                    marks[partition] = max(mark, feed.progress.mark)
        assert read_ >= set(kept)
        last = feed.end().last
        assert last == before, "the end names the last record of each partition"

    def test_it_reads_again_from_wherever_it_is_asked_to(
        self, feed: EventFeed, store: Store
    ) -> None:
        history = busy(store, 20)
        history.store(store.app_dsn)
        in_order: dict[int, list[Record]] = {}
        for record in _all(feed, history, limit=1000):
            in_order.setdefault(record.partition, []).append(record)
        for skipped in (0, 1, 2, 0):
            marks = start(feed) | {
                partition: records[skipped - 1].mark
                for partition, records in in_order.items()
                if 0 < skipped <= len(records)
            }
            batch = read(feed, marks, 10)
            for partition, records in in_order.items():
                again = [record for record in batch if record.partition == partition]
                after = marks[partition].position
                expected = [record for record in records if record.position > after]
                assert again == expected[: len(again)]

    def test_at_the_end_there_is_nothing_until_more_comes(
        self, feed: EventFeed, store: Store
    ) -> None:
        history = busy(store, 3)
        assert feed.end() == Progress(START, dict.fromkeys(range(feed.partitions), 0))
        history.store(store.app_dsn)
        records = _all(feed, history, limit=1000)
        marks = start(feed) | {record.partition: record.mark for record in records}
        assert not feed.read(marks, 1000)
        assert feed.end() == Progress(
            records[-1].mark, {partition: mark.position for partition, mark in marks.items()}
        )
        history.pay(("alice", "bob", 1))
        history.store(store.app_dsn)
        more = _all(feed, history, limit=1000, after=marks)
        assert [record.position for record in more] == [
            history.end - 2,
            history.end - 1,
            history.end,
        ]

    def test_it_finds_what_stands_at_a_mark(self, feed: EventFeed, store: Store) -> None:
        history = busy(store, 20)
        history.store(store.app_dsn)
        for record in _all(feed, history, limit=1000):
            assert feed.find(record.mark) == record.mark
            other = record.mark._replace(event_id="another:1")
            assert feed.find(other) == record.mark

    def test_waiting_ends_with_an_append_and_with_the_time(
        self, feed: EventFeed, store: Store
    ) -> None:
        history = busy(store, 1)
        feed.wait(0.05)
        started = time.monotonic()
        feed.wait(0.2)
        assert 0.1 < time.monotonic() - started < 2
        timer = Timer(0.2, history.store, (store.app_dsn,))
        timer.start()
        started = time.monotonic()
        feed.wait(20)
        assert time.monotonic() - started < 10
        timer.join()

    def test_what_came_before_listening_began_is_not_waited_for(
        self, feed: EventFeed, store: Store
    ) -> None:
        busy(store, 1).store(store.app_dsn)
        started = time.monotonic()
        feed.wait(20)
        assert time.monotonic() - started < 10


class TestStoreFeed(EventFeedContract):
    @pytest.fixture
    def store(self, fresh_store: Store) -> Store:
        return fresh_store

    @pytest.fixture
    def feed(self, store: Store) -> Iterator[EventFeed]:
        with closing(store_feed(store.app_dsn)) as feed:
            yield feed

    @pytest.mark.parametrize("limit", [1, 2, 3, 4, 7])
    def test_a_batch_ends_where_a_command_ends(
        self, feed: EventFeed, store: Store, limit: int
    ) -> None:
        history = busy(store, 9)
        history.store(store.app_dsn)
        marks = start(feed)
        while batch := feed.read(marks, limit):
            last = batch[-1].position
            if last < history.end:
                assert history.events[last].command != batch[-1].event.command
            marks |= {record.partition: record.mark for record in batch}
        assert max(mark.position for mark in marks.values()) == history.end


@pytest.mark.slow
class TestKafkaFeed(EventFeedContract):
    @pytest.fixture
    def store(self, kafka_store: Store) -> Store:
        return kafka_store

    @pytest.fixture
    def feed(self, store: Store, kafka: SharedBroker) -> Iterator[EventFeed]:
        """Of what a mirror brings there meanwhile."""
        with (
            mirroring(store, kafka.bootstrap) as settings,
            closing(kafka_feed(settings)) as feed,
        ):
            yield feed

    def test_who_follows_closely_has_all_partitions_at_one_mark_after_each_batch(
        self, feed: EventFeed, store: Store
    ) -> None:
        """Also where the client is slow to fetch one of them."""
        assert isinstance(feed, KafkaFeed)
        history, marks = busy(store, 5), start(feed)
        history.store(store.app_dsn)
        for _ in range(5):
            while min(mark.position for mark in marks.values()) < history.end:
                batch = read(feed, marks, 1000)
                assert feed.progress is not None
                marks |= {record.partition: record.mark for record in batch}
                assert all(marks[each].position >= feed.progress.last[each] for each in marks)
                marks = dict.fromkeys(marks, feed.progress.mark)
                assert not batch or batch[-1].mark == feed.progress.mark
            consumer, slow = feed._following, batch[-1].partition
            assert consumer is not None
            consumer.pause(feed._partition(slow))
            history.pay(("alice", "bob", 1), ("bob", "alice", 1))
            history.store(store.app_dsn)
            until(lambda: feed.end().mark.position == history.end)
            for _ in range(5):
                feed.wait(0.1)
                assert not feed.read(marks, 1000)
            consumer.resume(feed._partition(slow))

    def as_fed(self, event: LedgerEvent) -> LedgerEvent:
        """Records don't tell what only a command's answer needs."""
        changes: dict[str, Any] = {}
        if hasattr(event, "fingerprint"):
            changes["fingerprint"] = NO_FINGERPRINT
        if isinstance(event, AccountOpened):
            changes["command"] = NO_COMMAND
        return dataclasses.replace(event, **changes)


def busy(store: Store, payments: int) -> History:
    history = History(ledger=store.ledger).open("alice", "bob")
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


def _all(
    feed: EventFeed, history: History, limit: int, after: Mapping[int, Mark] | None = None
) -> list[Record]:
    """Every record up to the end of the history, by position."""
    marks = dict(after or start(feed))
    records: list[Record] = []
    first = max(mark.position for mark in marks.values())
    while len(records) < history.end - first:
        batch = read(feed, marks, limit)
        assert batch, "the feed ends early"
        records += batch
        marks |= {record.partition: record.mark for record in batch}
    return sorted(records, key=lambda record: record.position)
