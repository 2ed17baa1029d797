"""The mirror: one relay a ledger that puts every event into Kafka, each exactly once.

A batch of whole commands is one Kafka transaction: the events and the progress record together.
Crash-only: on any exception, or where a step outlives its deadline, the process ends and its
supervisor starts it afresh; where it was, it reads from the progress topic, never from memory.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from threading import Event
from typing import Any, Final, NamedTuple

from kafka import KafkaProducer, TopicPartition
from kafka.producer.future import FutureRecordMetadata
from psycopg import Connection

from infrastructure.cannot_start import CannotStart
from infrastructure.kafka.clients import KafkaClients, begin
from infrastructure.kafka.leadership import beating, connect, lead, tell_position, tell_refusal
from infrastructure.kafka.progress import (
    last_progress,
    progress_value,
    read_to,
)
from infrastructure.kafka.records import Sent, sent, source_of
from infrastructure.kafka.settling import Settling
from infrastructure.kafka.topics import PARTITIONS, Topics, ensure_topics
from infrastructure.kafka.watchdog import Watchdog
from infrastructure.store_feed import StoreFeed
from projections.feed import START, Mark, Progress, UnreadableRecord
from projections.worker import collect_rarely

IDLE_S: Final = 1.0
"""Longest wait for news: how long a stop takes."""
PACE_S: Final = 0.022
"""Pause after a small batch. A transaction costs as much as 200 events, here, at the broker and in
every worker, and one that begins while the broker still ends the one before is sent away. At 500
payments/s on two full cores events lag no less with 8 or 15 ms, which take a tenth of both more."""
LOOK_S: Final = 1.0
"""A broker that was away is not back sooner. After a second without a transaction, or with a slow
one, it is looked whether it left one open; not every second of a steady load, which cost it 10 to
30 ms each time."""

_log = logging.getLogger("tally.kafka")


class MirrorRefused(CannotStart):
    """The topic and the store are of two histories, or an event can't be read: says which."""


class Batch(NamedTuple):
    """Whole commands, encoded."""

    records: Sequence[Sent]
    progress: Progress
    """Once they are committed."""
    more: bool
    """Whether as much may be behind it."""


class Mirror:
    def __init__(
        self,
        *,
        dsn: str,
        feed: StoreFeed,
        clients: KafkaClients,
        topics: Topics,
        ledger: str,
        replication_factor: int | None,
        min_insync_replicas: int | None,
        batch_size: int,
        takeover_s: float,
        stop: Event,
        watchdog: Watchdog,
    ) -> None:
        self._dsn = dsn
        self._feed = feed
        self._clients = clients
        self._topics = topics
        self._ledger = ledger
        self._source = source_of(ledger)
        self._replication_factor = replication_factor
        self._min_insync_replicas = min_insync_replicas
        self._batch_size = batch_size
        self._takeover_s = takeover_s
        self._stop = stop
        self._watchdog = watchdog

    def run(self) -> None:
        """Returns when told to stop. Raises MirrorRefused, and whatever else goes wrong."""
        collect_rarely()
        with closing(connect(self._dsn)) as connection:
            if not lead(connection, takeover_s=self._takeover_s, stop=self._stop):
                return
            with beating(self._dsn, takeover_s=self._takeover_s), closing(self._feed):
                try:
                    self._lead(connection)
                except UnreadableRecord as bad:
                    refused = MirrorRefused(f"the event at {bad}")
                    tell_refusal(connection, str(refused))
                    raise refused from bad
                except CannotStart as refused:
                    tell_refusal(connection, str(refused))
                    raise

    def _lead(self, connection: Connection[Any]) -> None:
        timeout_s = self._clients.timeout_s
        with self._watchdog.within(3 * timeout_s, "looking at the topics"):
            ensure_topics(
                self._clients,
                self._topics,
                replication_factor=self._replication_factor,
                min_insync_replicas=self._min_insync_replicas,
            )
        producer = self._clients.producer(f"tally.{self._ledger}.mirror")
        with self._watchdog.within(timeout_s, "fencing the mirror before"):
            producer.init_transactions()
        with (
            closing(Settling(self._clients, self._topics, self._ledger)) as settling,
            ThreadPoolExecutor(1, thread_name_prefix="mirror-ahead") as ahead,
        ):
            with self._watchdog.within(4 * timeout_s, "finding where the topic ends"):
                settling.settle(producer)
                progress = self._where_it_ends()
                self._check(progress)
            tell_position(connection, progress.mark.position)
            _log.info("mirroring from position %s on", progress.mark.position)
            self._relay_all(connection, producer, progress, settling, ahead)
        with self._watchdog.within(timeout_s, "closing"):
            producer.close(timeout=timeout_s / 2)

    def _relay_all(
        self,
        connection: Connection[Any],
        producer: KafkaProducer,
        progress: Progress,
        settling: Settling,
        ahead: Executor,
    ) -> None:
        """Until told to stop. While a transaction goes its way, the next batch is encoded: else a
        third of the time would be spent on that. It is sent once the one before is committed.

        A broker that was away may have left a transaction open: one that begins after a pause, or
        after one that was slow, looks.
        """
        timeout_s = self._clients.timeout_s
        batch = self._next(progress)
        began = time.monotonic()
        while not self._stop.is_set():
            if batch is None:
                self._feed.wait(IDLE_S)
                batch = self._next(progress)
                continue
            with self._watchdog.within(timeout_s, "a transaction"):
                before, began = began, time.monotonic()
                if began - before > LOOK_S:
                    settling.check()
                futures = send(producer, batch, self._topics, self._ledger)
                following = ahead.submit(self._next, batch.progress) if batch.more else None
                commit(producer, futures, timeout_s)
            progress = batch.progress
            tell_position(connection, progress.mark.position)
            if following is None:
                self._stop.wait(PACE_S)
                batch = self._next(progress)
            else:
                batch = following.result()

    def _next(self, progress: Progress) -> Batch | None:
        """What comes after that; None where there is nothing yet."""
        records = self._feed.read({0: progress.mark}, self._batch_size)
        if not records:
            return None
        last = dict(progress.last)
        encoded = [sent(record, self._source, last) for record in records]
        # Reading ahead at the end of the store would find little, and take time from this batch.
        more = len(records) > self._batch_size // 2
        return Batch(encoded, Progress(records[-1].mark, last), more)

    def _where_it_ends(self) -> Progress:
        """What the last mirror committed; nothing of it is open any more, its successor is here."""
        topic = self._topics.progress
        with closing(self._clients.consumer()) as consumer:
            found = last_progress(consumer, topic, self._ledger, self._clients.timeout_s)
            if found is None and self._holds_events(consumer):
                raise MirrorRefused(
                    f"{self._topics.events} holds events, but {topic} does not say up to where: "
                    "was it deleted? Delete both topics, and they are made anew from the store"
                )
        return found or Progress(START, dict.fromkeys(range(PARTITIONS), 0))

    def _holds_events(self, consumer: Any) -> bool:
        """Whether any was ever committed: of a first batch that failed, offsets alone remain."""
        partitions = [TopicPartition(self._topics.events, each) for each in range(PARTITIONS)]
        ends = consumer.end_offsets(partitions)
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        return any(read_to(consumer, ends, self._clients.timeout_s).values())

    def _check(self, progress: Progress) -> None:
        """The store must hold the very event that the topic ends with: else, two histories."""
        mark = progress.mark
        found = self._feed.find(mark) if mark.position else START
        if found != mark:
            raise MirrorRefused(
                f"the topic ends with event {mark.position}, {mark.event_id} of "
                f"{mark.recorded_at}, and the store has {_told(found)} there: was an older backup "
                "of the store restored? Give back the right one, or delete both topics of the "
                f"ledger ({self._topics.events}, {self._topics.progress}): they are made anew"
            )


def send(
    producer: KafkaProducer, batch: Batch, topics: Topics, ledger: str
) -> list[FutureRecordMetadata]:
    """Begins a transaction with the batch's events and its progress; gives what became of each."""
    topic = topics.events
    partitions = {record.partition for record in batch.records}
    written = [TopicPartition(topic, partition) for partition in partitions]
    begin(producer, [*written, TopicPartition(topics.progress, 0)])
    futures = [
        producer.send(topic, value, key, headers, partition, timestamp_ms)
        for partition, key, value, headers, timestamp_ms in batch.records
    ]
    mark = batch.progress.mark
    assert mark.recorded_at is not None
    timestamp_ms = int(mark.recorded_at.timestamp() * 1000)
    value = progress_value(batch.progress)
    futures.append(producer.send(topics.progress, value, ledger.encode(), None, 0, timestamp_ms))
    return futures


def commit(
    producer: KafkaProducer, futures: Iterable[FutureRecordMetadata], timeout_s: float
) -> None:
    """A commit can say OK although records of it failed: each one's future is asked first."""
    producer.flush(timeout=timeout_s)
    for future in futures:
        future.get(timeout=timeout_s)
    producer.commit_transaction()


def _told(mark: Mark | None) -> str:
    return f"{mark.event_id} of {mark.recorded_at}" if mark else "nothing"
