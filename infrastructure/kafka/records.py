"""Events as Kafka records: CloudEvents 1.0 in binary mode, and back.

The value is the item of `GET /v1/events`. Seven headers: each costs a consumer time.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from application.history import UnreadableItem, event_json, event_of
from domain.registry import EVENTS
from infrastructure.kafka.topics import partition_of
from projections.feed import Record, UnreadableRecord

Headers = list[tuple[str, bytes]]

_TYPES: Final = {topic: topic.encode() for topic in EVENTS}


class Sent(NamedTuple):
    """What goes to the topic."""

    partition: int
    key: bytes
    value: bytes
    headers: Headers
    timestamp_ms: int
    """The recorded time: `offsets_for_times` finds a record by it."""


def source_of(ledger: str) -> bytes:
    return f"tallystick/{ledger}".encode()


def sent(record: Record, source: bytes, last: dict[int, int]) -> Sent:
    """The event as it is sent; `last` is the last position of each partition, and moves on."""
    key = record.key
    partition = partition_of(key)
    prevposition, last[partition] = last[partition], record.position
    event = record.event
    return Sent(
        partition,
        key.encode(),
        event_json(record.position, event),
        [
            ("ce_specversion", b"1.0"),
            ("ce_id", record.event_id.encode()),
            ("ce_source", source),
            ("ce_type", _TYPES[event.TOPIC]),
            ("ce_position", b"%d" % record.position),
            ("ce_prevposition", b"%d" % prevposition),
            ("content-type", b"application/json"),
        ],
        int(event.timestamp.timestamp() * 1000),
    )


def position_of(message: Any) -> int:
    """Of a consumer's record: by its header, before anything of it is decoded."""
    return int(dict(message.headers)["ce_position"])


def received(message: Any, ledger: str) -> Record:
    """The record of the feed. Raises UnreadableRecord."""
    headers = dict(message.headers)
    position = int(headers["ce_position"])
    try:
        named, event = event_of(message.value, ledger=ledger)
    except UnreadableItem as error:
        raise UnreadableRecord(position, str(error), message.partition) from error
    if named != position:
        reason = f"its value says position {named}"
        raise UnreadableRecord(position, reason, message.partition)
    return Record(position, int(headers["ce_prevposition"]), message.partition, event)
