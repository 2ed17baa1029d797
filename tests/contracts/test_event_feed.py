"""What every EventFeed must do; an adapter joins by a subclass that makes one."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from threading import Timer, current_thread
from typing import Any

import pytest
from kafka import KafkaConsumer
from kafka.errors import KafkaConnectionError

from api.composition.kafka_feed import kafka_feeds
from application.history import NO_COMMAND, NO_FINGERPRINT
from domain.events import AccountOpened, CommandDecided, LedgerEvent, PaymentDecided
from infrastructure.kafka import shared_topic
from infrastructure.kafka.feed import KafkaFeed
from infrastructure.settings import Settings
from projections.feed import START, EventFeed, FeedAway, Mark, Progress, Record
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


class _OfKafka(EventFeedContract):
    @pytest.fixture
    def store(self, kafka_store: Store) -> Store:
        return kafka_store

    @pytest.fixture
    def mirrored(self, store: Store, kafka: SharedBroker) -> Iterator[Settings]:
        """A mirror brings there meanwhile what the store has."""
        with mirroring(store, kafka.bootstrap) as settings:
            yield settings

    def as_fed(self, event: LedgerEvent) -> LedgerEvent:
        """Records don't tell what only a command's answer needs."""
        changes: dict[str, Any] = {}
        if hasattr(event, "fingerprint"):
            changes["fingerprint"] = NO_FINGERPRINT
        if isinstance(event, AccountOpened):
            changes["command"] = NO_COMMAND
        return dataclasses.replace(event, **changes)


@pytest.mark.slow
class TestKafkaFeed(_OfKafka):
    @pytest.fixture
    def feed(self, mirrored: Settings) -> Iterator[EventFeed]:
        with closing(kafka_feeds(mirrored, several=False)()) as feed:
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


@pytest.mark.slow
class TestSeveralKafkaFeeds(_OfKafka):
    """Of one process: what they follow closely is read once for all of them."""

    @pytest.fixture
    def several(self, mirrored: Settings) -> Iterator[Sequence[KafkaFeed]]:
        opened = kafka_feeds(mirrored, several=True)
        with closing(opened()) as one, closing(opened()) as other:
            assert isinstance(one, KafkaFeed)
            assert isinstance(other, KafkaFeed)
            yield one, other

    @pytest.fixture
    def feed(self, several: Sequence[KafkaFeed]) -> EventFeed:
        return several[0]

    @pytest.fixture
    def reads_on(
        self, several: Sequence[KafkaFeed], store: Store
    ) -> Callable[[KafkaFeed, int], None]:
        """Makes so many payments, and has a feed bring all of them and nothing else; it began
        with the history's first event."""
        history = busy(store, 5)
        history.store(store.app_dsn)
        marks = {id(each): start(each) for each in several}

        def read_on(feed: KafkaFeed, payments: int) -> None:
            for _ in range(payments):
                history.pay(("alice", "bob", 1))
            history.store(store.app_dsn)
            after = marks[id(feed)]
            first = max(mark.position for mark in after.values())
            records = _all(feed, history, 1000, after)
            assert [each.position for each in records] == list(range(first + 1, history.end + 1))
            marks[id(feed)] |= {record.partition: record.mark for record in records}

        return read_on

    def test_who_is_close_needs_no_consumer_of_its_own(
        self, several: Sequence[KafkaFeed], reads_on: Callable[[KafkaFeed, int], None]
    ) -> None:
        for payments in (0, 1, 200, 3):
            for feed in several:
                reads_on(feed, payments)
                comes_close(feed)
        reads_on(several[0], 20)
        assert [feed._following for feed in several] == [None, None]

    def test_who_takes_nothing_for_long_begins_anew_and_misses_nothing(
        self,
        several: Sequence[KafkaFeed],
        reads_on: Callable[[KafkaFeed, int], None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(shared_topic, "BEHIND", 100)
        one, slow = several
        for feed in several:
            reads_on(feed, 0)
            comes_close(feed)
        given_up, others = slow._follower, one._follower
        assert given_up is not None
        for _ in range(10):
            reads_on(one, 10)
        assert given_up.waiting > 100
        reads_on(slow, 1)
        assert slow._follower is not given_up
        assert one._follower is others

    def test_each_has_its_own_partitions(self, several: Sequence[KafkaFeed], store: Store) -> None:
        history = busy(store, 60)
        history.store(store.app_dsn)
        until(lambda: several[0].end().mark.position == history.end)
        shares: list[dict[int, Mark]] = []
        for feed, partitions in zip(several, (range(5), range(3, 12)), strict=True):
            marks = dict.fromkeys(partitions, START)
            shares.append(marks)
            assert feed.read(marks, 1000) or read(feed, marks, 1000)
        for feed in several:
            comes_close(feed)
        for _ in range(3):
            for number in range(20):
                history.open(f"account {history.end} {number}")
            history.store(store.app_dsn)
            until(lambda: several[0].end().mark.position == history.end)
            for feed, marks in zip(several, shares, strict=True):
                last = feed.end().last
                while any(marks[each].position < last[each] for each in marks):
                    batch = read(feed, marks, 1000)
                    assert batch, "the feed ends early"
                    for record in batch:
                        assert record.prevposition <= marks[record.partition].position
                        marks[record.partition] = record.mark

    def test_what_breaks_where_it_is_read_is_told_to_all_and_begun_anew(
        self,
        several: Sequence[KafkaFeed],
        reads_on: Callable[[KafkaFeed, int], None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for feed in several:
            reads_on(feed, 0)
            comes_close(feed)
        with monkeypatch.context() as broken:
            broken.setattr(KafkaConsumer, "poll", _broken_where_it_is_shared)
            for feed in several:
                with pytest.raises(FeedAway, match="KafkaConnectionError"):
                    until(lambda feed=feed: feed.wait(0.1))
        for feed in several:
            feed.close()
            reads_on(feed, 3)


def comes_close(feed: KafkaFeed) -> None:
    """To where it reads along with the others."""
    until(lambda: feed.wait(0.1) or feed._following is None)


_poll = KafkaConsumer.poll


def _broken_where_it_is_shared(consumer: KafkaConsumer, *args: Any, **options: Any) -> Any:
    if current_thread().name == "shared-topic":
        raise KafkaConnectionError("the line is cut")
    return _poll(consumer, *args, **options)


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
