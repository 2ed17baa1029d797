"""A transaction that a broker forgot to end is ended as it was decided, before the next begins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from infrastructure.kafka.clients import KafkaClients
from infrastructure.kafka.mirror import Batch, commit, send
from infrastructure.kafka.progress import progress_value, read_to
from infrastructure.kafka.records import Sent, position_of, sent, source_of
from infrastructure.kafka.settling import Settling, Unsettled
from infrastructure.kafka.topics import PARTITIONS, Topics, ensure_topics, topics_of
from infrastructure.settings import Settings
from projections.feed import Mark, Progress, Record
from tests.fixtures.fix_events import START, History
from tests.fixtures.fix_kafka import Brokers

pytestmark = pytest.mark.slow
LEDGER = "main"


class Broker:
    """One on which transactions can be left open: it doesn't verify them."""

    def __init__(self, bootstrap: str) -> None:
        settings = Settings.load(kafka_bootstrap=bootstrap, kafka_timeout_s=20)
        self.clients = KafkaClients(settings)
        self.topics: Topics = topics_of(LEDGER)
        with closing(self.clients.admin()) as admin:
            verification = {"transaction.partition.verification.enable": "false"}
            admin.alter_configs([ConfigResource(ConfigResourceType.BROKER, "1", verification)])
        ensure_topics(self.clients, self.topics, replication_factor=1, min_insync_replicas=1)
        history = History(ledger=LEDGER).open(*(f"a{number}" for number in range(10)))
        last = dict.fromkeys(range(PARTITIONS), 0)
        self.sent: list[Sent] = [
            sent(Record(position, 0, 0, event), source_of(LEDGER), last)
            for position, event in enumerate(history.events, 1)
        ]

    def mirror(self) -> KafkaProducer:
        producer = self.clients.producer("test")
        producer.init_transactions()
        return producer

    def relay(self, producer: KafkaProducer, *positions: int, upto: int) -> None:
        """Commits events and a progress record up to a position."""
        progress = Progress(Mark(upto, "an:1", START), dict.fromkeys(range(PARTITIONS), 0))
        batch = Batch([self.sent[each - 1] for each in positions], progress, more=False)
        commit(producer, send(producer, batch, self.topics, LEDGER), 20)
        with closing(Settling(self.clients, self.topics, LEDGER)) as settling:
            settling.check()  # the ends of the transaction have come to all its partitions

    def leave_open(self, producer: KafkaProducer, position: int, *, progress: bool = False) -> None:
        """Writes an event (and a progress record) of a transaction that nobody will end."""
        one = self.sent[position - 1]
        where = [TopicPartition(self.topics.events, one.partition)]
        if progress:
            where.append(TopicPartition(self.topics.progress, 0))
        producer.begin_transaction()
        producer._transaction_manager._partitions_in_transaction.update(where)
        _, key, value, headers, timestamp_ms = one
        producer.send(self.topics.events, value, key, headers, one.partition, timestamp_ms)
        if progress:
            mark = Mark(position, "an:1", START)
            value = progress_value(Progress(mark, dict.fromkeys(range(PARTITIONS), 0)))
            producer.send(self.topics.progress, value, LEDGER.encode(), None, 0, timestamp_ms)
        producer.flush(timeout=20)

    def seen(self) -> list[int]:
        """Positions that a reader of what is committed sees."""
        with closing(self.clients.consumer()) as consumer:
            partitions = [TopicPartition(self.topics.events, each) for each in range(PARTITIONS)]
            consumer.assign(partitions)
            consumer.seek_to_beginning(*partitions)
            found: dict[Any, list[Any]] = read_to(consumer, consumer.end_offsets(partitions), 20)
        return sorted(position_of(message) for each in found.values() for message in each)


@pytest.fixture
def broker(kafka_broker: Brokers) -> Broker:
    return Broker(kafka_broker.bootstrap)


@pytest.fixture
def settling(broker: Broker) -> Iterator[Settling]:
    with closing(Settling(broker.clients, broker.topics, LEDGER)) as settling:
        yield settling


def test_what_was_committed_elsewhere_is_committed(broker: Broker, settling: Settling) -> None:
    """Its progress record can be seen, one of its events can't."""
    with closing(broker.mirror()) as producer:
        broker.relay(producer, 1, 3, upto=3)
        broker.leave_open(producer, 2)
        assert broker.seen() == [1, 3]
        with pytest.raises(Unsettled, match="left open in 1 partitions"):
            settling.check()
        with closing(broker.mirror()) as following:
            settling.settle(following)
            settling.check()
            assert broker.seen() == [1, 2, 3]
            broker.relay(following, 4, upto=4)
    assert broker.seen() == [1, 2, 3, 4]


def test_what_is_seen_past_the_progress_record_tells_that_the_rest_was_committed_too(
    broker: Broker, settling: Settling
) -> None:
    with closing(broker.mirror()) as producer:
        broker.relay(producer, 1, upto=1)
        broker.relay(producer, 2, upto=1)  # its own progress record is the one left open
        broker.leave_open(producer, 3, progress=True)
        with closing(broker.mirror()) as following:
            settling.settle(following)
            assert broker.seen() == [1, 2, 3]


@pytest.mark.parametrize("progress", [False, True])
def test_what_nobody_can_see_anything_of_is_aborted(
    broker: Broker, settling: Settling, progress: bool
) -> None:
    with closing(broker.mirror()) as producer:
        broker.relay(producer, 1, 2, upto=2)
        broker.leave_open(producer, 3, progress=progress)
        with closing(broker.mirror()) as following:
            settling.settle(following)
            assert broker.seen() == [1, 2]
            broker.relay(following, 3, upto=3)
    assert broker.seen() == [1, 2, 3]


def test_where_nothing_was_left_open_nothing_is_done(broker: Broker, settling: Settling) -> None:
    with closing(broker.mirror()) as producer:
        broker.relay(producer, 1, upto=1)
        settling.settle(producer)
        settling.check()
    assert broker.seen() == [1]
