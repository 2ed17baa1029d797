"""How far the mirror is: the newest record of a compacted topic, written with the events."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError

from domain.times import time_text
from projections.feed import Mark, Progress

_LOOK_BACK: Final = 64
"""Offsets before the end that are looked at first: markers of transactions stand between."""


def progress_value(progress: Progress) -> bytes:
    """The record's value, JSON."""
    mark = progress.mark
    assert mark.recorded_at is not None
    value = {
        "position": mark.position,
        "id": mark.event_id,
        "recorded_at": time_text(mark.recorded_at),
        "partitions": {str(partition): last for partition, last in progress.last.items()},
    }
    return json.dumps(value, separators=(",", ":")).encode()


def progress_of(value: bytes) -> Progress:
    found = json.loads(value)
    mark = Mark(found["position"], found["id"], datetime.fromisoformat(found["recorded_at"]))
    return Progress(mark, {int(key): last for key, last in found["partitions"].items()})


def newest_progress(records: Sequence[Any], ledger: str) -> Progress | None:
    """That of the last record of our key, among records of the topic."""
    key = ledger.encode()
    values = [record.value for record in records if record.key == key and record.value]
    return progress_of(values[-1]) if values else None


def last_progress(
    consumer: KafkaConsumer, topic: str, ledger: str, timeout_s: float
) -> Progress | None:
    """The last one committed; None where there is none. The consumer is read_committed."""
    partition = TopicPartition(topic, 0)
    end = consumer.end_offsets([partition])[partition]
    begin = consumer.beginning_offsets([partition])[partition]
    consumer.assign([partition])
    back = _LOOK_BACK
    while True:
        start = max(begin, end - back)
        consumer.seek(partition, start)
        records = read_to(consumer, {partition: end}, timeout_s)[partition]
        found = newest_progress(records, ledger)
        if found is not None or start == begin:
            return found
        back *= 16


def read_to(
    consumer: KafkaConsumer, ends: dict[TopicPartition, int], timeout_s: float
) -> dict[TopicPartition, list[Any]]:
    """All that is between the consumer's positions and these ends, by partition.

    Raises KafkaTimeoutError. A consumer's position moves past the markers of transactions, so that
    it, and not the last record's offset, says whether the end is reached.
    """
    deadline = time.monotonic() + timeout_s
    found: dict[TopicPartition, list[Any]] = {partition: [] for partition in ends}
    while any(consumer.position(partition) < end for partition, end in ends.items()):
        if time.monotonic() > deadline:
            raise KafkaTimeoutError(f"{next(iter(ends)).topic} was not read in {timeout_s:g} s")
        for partition, records in consumer.poll(timeout_ms=100).items():
            found[partition] += records
    return found
