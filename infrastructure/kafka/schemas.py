"""What consumers build on, written from the code: JSON Schemas, and the AsyncAPI document.

`python -m infrastructure.kafka.schemas FOLDER` (`make schemas`) writes `schemas/TYPE.json`, one
for the value of each kind of record, and `asyncapi.json`. A test holds the committed ones to
this; another lets released ones change by addition alone (tests/golden/test_schemas.py).
"""

import importlib.metadata
import inspect
import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from application.event_data import DATA, EventItem
from application.event_members import TimeText
from infrastructure.kafka.topics import PARTITIONS, topics_of

PROGRESS: Final = "tally.progress.v1"
"""Name of the progress record's schema; such a record has no headers."""

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_EVENT_ID: Final = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}:[1-9][0-9]*$"
_DIGITS: Final = "^(0|[1-9][0-9]*)$"
_BINDING_VERSION: Final = "0.5.0"
_ABOUT: Final = {
    "account": "account",
    "payment": "payment",
    "payment_request": "payment request",
    "pay_code": "pay code, or of the device whose code it was",
    "device": "device",
    "command": "payment it is about, or of the account",
}
"""Whose id is the key, by the kind of event."""


class ProgressRecord(Struct, frozen=True):
    """All events up to a position are in the topic, each partition's up to the one named."""

    position: Annotated[int, Meta(ge=1, description="All events up to this one are there")]
    id: Annotated[str, Meta(pattern=_EVENT_ID, description="ce_id of the event at the position")]
    recorded_at: Annotated[TimeText, Meta(description="Recorded time of that event")]
    partitions: Annotated[
        dict[str, Annotated[int, Meta(ge=0)]],
        Meta(description="By partition: position of its last record so far, 0 for none"),
    ]


def documents() -> dict[str, dict[str, Any]]:
    """Every document by its path in the folder of docs."""
    return {
        **{f"schemas/{topic}.json": item_schema(topic) for topic in DATA},
        f"schemas/{PROGRESS}.json": _schema(ProgressRecord, PROGRESS),
        "asyncapi.json": asyncapi(),
    }


def write(folder: Path) -> None:
    (folder / "schemas").mkdir(exist_ok=True)
    for path, document in documents().items():
        (folder / path).write_text(text(document))


def text(document: dict[str, Any]) -> str:
    """A document as it is committed."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def item_schema(topic: str) -> dict[str, Any]:
    """Schema (2020-12) of the whole item of that type; members it doesn't name are allowed."""
    item: Any = EventItem
    schema = _schema(item[DATA[topic]], topic)
    schema["properties"]["type"] = {"const": topic}
    return schema


def _schema(shape: Any, name: str) -> dict[str, Any]:
    generated = msgspec.json.schema(shape)
    shapes = generated["$defs"]
    root = shapes.pop(generated["$ref"].rpartition("/")[2])
    inner = {"$defs": dict(sorted(shapes.items()))} if shapes else {}
    identity = {"$schema": _DIALECT, "$id": f"urn:tallystick:schema:{name}"}
    return {**identity, **root, "title": name, **inner}


# AsyncAPI 3.0 -----------------------------------------------------------------------------


def asyncapi() -> dict[str, Any]:
    topics = topics_of("{ledger}")
    return {
        "asyncapi": "3.0.0",
        "id": "urn:tallystick:kafka",
        "info": {
            "title": "Tallystick",
            "version": importlib.metadata.version("tallystick"),
            "description": "What a ledger tells by Kafka: its events, and how far it has told.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "events": _channel(
                topics.events,
                "Every event of the ledger once; in order within a partition. Read it with "
                "isolation.level read_committed.",
                list(DATA),
                partitions=PARTITIONS,
                configuration={
                    "cleanup.policy": ["delete"],
                    "retention.ms": -1,
                    "retention.bytes": -1,
                },
            ),
            "progress": _channel(
                topics.progress,
                "How far the events are in their topic, written in one transaction with them.",
                [PROGRESS],
                partitions=1,
                configuration={"cleanup.policy": ["compact"]},
            ),
        },
        "operations": {
            "receiveEvents": _receive("events", list(DATA)),
            "receiveProgress": _receive("progress", [PROGRESS]),
        },
        "components": {
            "messages": {**{topic: _event_message(topic) for topic in DATA}, **_progress_message()},
            "schemas": {"headers": _headers()},
        },
    }


def _channel(
    address: str,
    description: str,
    messages: list[str],
    *,
    partitions: int,
    configuration: dict[str, Any],
) -> dict[str, Any]:
    return {
        "address": address,
        "description": description,
        "parameters": {"ledger": {"description": "The ledger's name", "default": "main"}},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "kafka": {
                "partitions": partitions,
                "topicConfiguration": configuration,
                "bindingVersion": _BINDING_VERSION,
            }
        },
    }


def _receive(channel: str, messages: list[str]) -> dict[str, Any]:
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
    }


def _event_message(topic: str) -> dict[str, Any]:
    about = _ABOUT[topic.split(".")[1]]
    return {
        "name": topic,
        "title": topic,
        "summary": inspect.getdoc(DATA[topic]) or "",
        "contentType": "application/json",
        "headers": {
            "allOf": [
                {"$ref": "#/components/schemas/headers"},
                {"properties": {"ce_type": {"const": topic}}},
            ]
        },
        "payload": {"$ref": f"schemas/{topic}.json"},
        "bindings": _key(f"Id of the {about}, in UTF-8"),
    }


def _progress_message() -> dict[str, Any]:
    return {
        PROGRESS: {
            "name": PROGRESS,
            "title": PROGRESS,
            "summary": inspect.getdoc(ProgressRecord),
            "contentType": "application/json",
            "payload": {"$ref": f"schemas/{PROGRESS}.json"},
            "bindings": _key("The ledger's name, in UTF-8"),
        }
    }


def _key(description: str) -> dict[str, Any]:
    key = {"type": "string", "description": description}
    return {"kafka": {"key": key, "bindingVersion": _BINDING_VERSION}}


def _headers() -> dict[str, Any]:
    """CloudEvents 1.0, binary mode; every value is text in UTF-8."""

    def header(description: str, **rule: str) -> dict[str, str]:
        return {"type": "string", **rule, "description": description}

    members = {
        "ce_specversion": header("CloudEvents", const="1.0"),
        "ce_id": header("Stream and version of the event, the same for ever", pattern=_EVENT_ID),
        "ce_source": header("tallystick/LEDGER", pattern="^tallystick/.+$"),
        "ce_type": header("The event's type"),
        "ce_position": header("Place in the ledger's one order", pattern=_DIGITS),
        "ce_prevposition": header(
            "Position of the record before it in this partition, 0 for the first", pattern=_DIGITS
        ),
        "content-type": header("Of the value", const="application/json"),
    }
    return {"type": "object", "properties": members, "required": list(members)}


if __name__ == "__main__":
    write(Path(sys.argv[1]))
