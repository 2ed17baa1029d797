"""The topic against the store: every position once, in its partition, byte for byte."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError
from psycopg import Connection

from infrastructure.kafka.clients import KafkaClients, away
from infrastructure.kafka.progress import last_progress
from infrastructure.kafka.records import Sent, position_of, sent, source_of
from infrastructure.kafka.topics import PARTITIONS, Topics
from infrastructure.mapper import EventMapper
from infrastructure.reconcile.findings import Found
from infrastructure.reconcile.stored import stored_events
from projections.feed import Progress, Record

_AHEAD: Final = 20_000
"""Records of a partition that are kept while others are waited for."""
_POLL_MS: Final = 200


def compare_topic(
    store: Connection[Any],
    clients: KafkaClients,
    topics: Topics,
    ledger: str,
    *,
    end: int,
    within_s: float,
    found: Found,
    progress: Callable[[int, int], None],
) -> int:
    """Compares up to where the mirror is, which is waited for until it has come to `end`.

    Gives that position. `found` is told every difference. Raises FeedAway.
    """
    with away(), closing(clients.consumer()) as consumer:
        at = _mirrored(consumer, clients, topics, ledger, end, within_s)
        position = at.mark.position if at else 0
        if position < end:
            found(
                f"topic: it ends at position {position}, the store at {end}: the mirror is behind"
            )
        if at is not None:
            _Comparison(store, consumer, topics, ledger, clients.timeout_s, found).run(at, progress)
    return position


class _Comparison:
    def __init__(
        self,
        store: Connection[Any],
        consumer: KafkaConsumer,
        topics: Topics,
        ledger: str,
        timeout_s: float,
        found: Found,
    ) -> None:
        self._store = store
        self._source = source_of(ledger)
        self._found = found
        self._messages = _Messages(consumer, topics.events, timeout_s)

    def run(self, at: Progress, progress: Callable[[int, int], None]) -> None:
        end = at.mark.position
        last = dict.fromkeys(range(PARTITIONS), 0)
        for stored in stored_events(self._store, EventMapper(), 0, end):
            if stored.event is None:
                continue  # told already, with the store's own differences
            record = Record(stored.position, 0, 0, stored.event)
            self._compare(stored.position, sent(record, self._source, last))
            if stored.position == end and record.mark != at.mark:
                self._found(f"progress topic: {at.mark.event_id} at {end} is not the store's event")
            if stored.position % 1000 == 0 or stored.position == end:
                progress(stored.position, end)
        for partition in range(PARTITIONS):
            while (message := self._messages.first(partition)) and position_of(message) <= end:
                self._found(f"topic: position {position_of(message)} is there once too often")
                self._messages.take(partition)
        if at.last != last:
            self._found(f"progress topic: partitions end at {at.last}, should be {last}")

    def _compare(self, position: int, wanted: Sent) -> None:
        """The next record of the partition must be this one."""
        partition = wanted.partition
        while message := self._messages.first(partition):
            has = position_of(message)
            if has > position:
                break
            self._messages.take(partition)
            if has == position:
                self._differs(position, message, wanted)
                return
            self._found(f"topic: position {has} is there once too often")
        self._found(f"topic: position {position} is missing in partition {partition}")

    def _differs(self, position: int, message: Any, wanted: Sent) -> None:
        for name, has, should_be in (
            ("key", message.key, wanted.key),
            ("value", message.value, wanted.value),
            ("time", message.timestamp, wanted.timestamp_ms),
            ("headers", list(message.headers), wanted.headers),
        ):
            if has != should_be:
                self._found(f"topic: the {name} of position {position} is not the store's")


class _Messages:
    """The committed records of all partitions, each in its order, up to where they end now."""

    def __init__(self, consumer: KafkaConsumer, topic: str, timeout_s: float) -> None:
        partitions = [TopicPartition(topic, each) for each in range(PARTITIONS)]
        self._consumer = consumer
        self._timeout_s = timeout_s
        self._ends = consumer.end_offsets(partitions)
        self._read: dict[TopicPartition, deque[Any]] = {each: deque() for each in partitions}
        self._topic = topic
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)

    def first(self, partition: int) -> Any | None:
        """The next record of the partition; None where it ends."""
        where = TopicPartition(self._topic, partition)
        read = self._read[where]
        deadline = time.monotonic() + self._timeout_s
        while not read and self._consumer.position(where) < self._ends[where]:
            if time.monotonic() > deadline:
                raise KafkaTimeoutError(f"{self._topic} was not read in {self._timeout_s:g} s")
            self._poll()
        return read[0] if read else None

    def take(self, partition: int) -> None:
        self._read[TopicPartition(self._topic, partition)].popleft()

    def _poll(self) -> None:
        full = [where for where, read in self._read.items() if len(read) > _AHEAD]
        self._consumer.pause(*full)
        for where, messages in self._consumer.poll(_POLL_MS, max_records=5_000).items():
            self._read[where] += messages
        self._consumer.resume(*full)


def _mirrored(
    consumer: KafkaConsumer,
    clients: KafkaClients,
    topics: Topics,
    ledger: str,
    end: int,
    within_s: float,
) -> Progress | None:
    """How far the mirror is, once it is at the end or the time is over."""
    deadline = time.monotonic() + within_s
    while True:
        at = last_progress(consumer, topics.progress, ledger, clients.timeout_s)
        if (at and at.mark.position >= end) or time.monotonic() > deadline:
            return at
        time.sleep(0.1)
