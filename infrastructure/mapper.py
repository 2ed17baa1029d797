"""Events to stored bytes and back.

The payload, for ever: a UTF-8 JSON array of the event's fields in the order in which
domain/events.py declares them, `command` first; UUIDs as 32 hex digits, dates as `YYYY-MM-DD`,
times as RFC 3339 with `Z`, bytes as base64, tuples as arrays. Stream, version, type and recorded
time are columns. A field added later stands at the end and has a default, which is what an older
payload loads with; None at the end is left out.

An array, and not the library's JSON of named members, because names are four fifths of such a
payload, and because msgspec decodes it straight into checked values (0.9 µs an event).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Any, NamedTuple, cast, get_type_hints
from uuid import UUID

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import JSONTranscoder, Mapper, Notification, StoredEvent
from msgspec.structs import asdict

from domain.aggregate import event_with
from domain.events import LedgerEvent
from domain.registry import EVENTS


class UnknownEventType(Exception):
    """A stored type that is not in the closed registry: the software is older than the store."""


class UnreadablePayload(Exception):
    """A payload that is not what its type says: it was altered, or is damaged."""


@dataclasses.dataclass(frozen=True)
class RecordedEvent(Notification):
    """A stored event with the time at which the store took it; `id` is its position."""

    recorded_at: datetime


def command_of(payload: bytes) -> bytes:
    """Its command, as the hex digits that every payload begins with: `["0123…`."""
    return payload[2:34]


class _Codec(NamedTuple):
    event: type[LedgerEvent]
    required: int
    """How many of the fields have no default."""
    values: Callable[[Any], tuple[Any, ...]]
    decoder: msgspec.json.Decoder[Any]


_encoder = msgspec.json.Encoder(uuid_format="hex")


def _codec(event: type[LedgerEvent]) -> _Codec:
    hints = get_type_hints(event)
    fields = [
        field
        for field in dataclasses.fields(event)
        if field.name not in ("originator_id", "originator_version", "timestamp")
    ]
    members: list[Any] = [
        (field.name, hints[field.name])
        if field.default is dataclasses.MISSING
        else (field.name, hints[field.name], field.default)
        for field in fields
    ]
    shape = msgspec.defstruct(event.__name__, members, array_like=True, gc=False)
    required = sum(field.default is dataclasses.MISSING for field in fields)
    return _Codec(
        event, required, attrgetter(*shape.__struct_fields__), msgspec.json.Decoder(shape)
    )


_CODECS = {topic: _codec(event) for topic, event in EVENTS.items()}


class EventMapper(Mapper[UUID]):
    """The library's Mapper with our payload and our closed registry."""

    def __init__(self) -> None:
        super().__init__(JSONTranscoder())

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        event = cast(LedgerEvent, domain_event)
        codec = _CODECS[event.TOPIC]
        values = codec.values(event)
        while len(values) > codec.required and values[-1] is None:
            values = values[:-1]
        return StoredEvent(
            event.originator_id,
            event.originator_version,
            event.TOPIC,
            _encoder.encode(values),
        )

    def to_domain_event(self, stored_event: StoredEvent) -> LedgerEvent:
        assert isinstance(stored_event, RecordedEvent)
        assert isinstance(stored_event.originator_id, UUID)
        return self.decode(
            stored_event.topic,
            stored_event.state,
            stored_event.originator_id,
            stored_event.originator_version,
            stored_event.recorded_at,
        )

    def decode(
        self, topic: str, payload: bytes, stream: UUID, version: int, recorded_at: datetime
    ) -> LedgerEvent:
        """The event stored under `topic`. Raises UnknownEventType, UnreadablePayload."""
        codec = _CODECS.get(topic)
        if codec is None:
            raise UnknownEventType(f"event type {topic} is unknown to this version")
        try:
            values = codec.decoder.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise UnreadablePayload(f"{topic} {stream}:{version} can't be read") from error
        state = asdict(values)  # half of the time that names and values zipped take
        state["originator_id"] = stream
        state["originator_version"] = version
        state["timestamp"] = recorded_at
        return event_with(codec.event, state)
