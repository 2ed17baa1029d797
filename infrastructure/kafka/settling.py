"""Brings every partition to rest before a mirror writes: no transaction is left open in it.

A broker that is killed within milliseconds of a commit can forget, when it is back, to end the
transaction in some of its partitions (seen on Kafka 4.4 in 2 of 12 kills of a lone broker): what
was committed stays invisible there, and the next transaction of the same id decides over it. Were
that one aborted, committed events would be lost; so the old one is ended first, as it was decided.
"""

from __future__ import annotations

import logging
import time
from typing import Any, Final

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from infrastructure.kafka.clients import KafkaClients, begin
from infrastructure.kafka.progress import last_progress, read_to
from infrastructure.kafka.records import position_of
from infrastructure.kafka.topics import PARTITIONS, Topics

MARKERS_S: Final = 3.0
"""How long the ends of a transaction may take to come to its partitions, after its commit."""
_TAIL: Final = 64
"""Offsets before the end among which a partition's last record is looked for."""

_log = logging.getLogger("tally.kafka")


class Unsettled(Exception):
    """A transaction is left open in a partition: a new mirror has to end it."""


class Settling:
    def __init__(self, clients: KafkaClients, topics: Topics, ledger: str) -> None:
        self._timeout_s = clients.timeout_s
        self._topics = topics
        self._ledger = ledger
        self._events = [TopicPartition(topics.events, each) for each in range(PARTITIONS)]
        self._all = [*self._events, TopicPartition(topics.progress, 0)]
        self._committed = clients.consumer()
        self._written = clients.consumer(committed=False)

    def close(self) -> None:
        for consumer in (self._committed, self._written):
            consumer.close(autocommit=False, timeout_ms=1000)

    def check(self) -> None:
        """Raises Unsettled. To be called where no transaction of ours is open."""
        if left := self._unsettled():
            raise Unsettled(f"a transaction was left open in {len(left)} partitions")

    def settle(self, producer: KafkaProducer) -> None:
        """Ends what was left open. The producer has begun its transactions, and fenced the last.

        Raises Unsettled where it can't.
        """
        left = self._unsettled()
        if not left:
            return
        committed = self._was_committed(left)
        told = "committed" if committed else "aborted"
        _log.warning("a transaction was left open in %s partitions: %s", len(left), told)
        begin(producer, left)
        self._await_part(producer, left)
        if committed:
            producer.commit_transaction()
        else:
            producer.abort_transaction()
        self.check()

    def _await_part(self, producer: KafkaProducer, partitions: list[TopicPartition]) -> None:
        """Until they take part in the producer's transaction without a record, so that its end is
        that of what was left open."""
        transaction = producer._transaction_manager
        deadline = time.monotonic() + self._timeout_s
        while not all(transaction.is_partition_added(partition) for partition in partitions):
            if time.monotonic() > deadline:
                raise Unsettled("partitions can't take part in a transaction")
            producer._sender.wakeup()
            time.sleep(0.01)

    def _unsettled(self) -> list[TopicPartition]:
        """Where a reader of what is committed stands before the end, for longer than it may."""
        deadline = time.monotonic() + MARKERS_S
        while True:
            committed = self._committed.end_offsets(self._all)
            written = self._written.end_offsets(self._all)
            left = [each for each in self._all if committed[each] < written[each]]
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.02)

    def _was_committed(self, left: list[TopicPartition]) -> bool:
        """Whether anything of the transaction can be seen as committed: its progress record, which
        then is at or past what is hidden, or an event past the progress record that is seen."""
        progress = last_progress(
            self._committed, self._topics.progress, self._ledger, self._timeout_s
        )
        seen_up_to = progress.mark.position if progress else 0
        hidden = self._positions(self._written, left, hidden=True)
        if any(position <= seen_up_to for position in hidden):
            return True
        seen = self._positions(self._committed, self._events, hidden=False)
        return any(position > seen_up_to for position in seen)

    def _positions(
        self, consumer: KafkaConsumer, partitions: list[TopicPartition], *, hidden: bool
    ) -> list[int]:
        """Of events that are hidden behind an open transaction, or of those before it."""
        events = [each for each in partitions if each in self._events]
        if not events:
            return []
        committed = self._committed.end_offsets(events)
        ends: dict[TopicPartition, int] = self._written.end_offsets(events) if hidden else committed
        consumer.assign(events)
        for each in events:
            consumer.seek(each, committed[each] if hidden else max(0, committed[each] - _TAIL))
        found: dict[TopicPartition, list[Any]] = read_to(consumer, ends, self._timeout_s)
        return [position_of(message) for messages in found.values() for message in messages]
