"""Schemas and the AsyncAPI document: they are the code's, hold together, and say what is told."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from application.history import event_item
from domain.events import CommandDecided, LedgerEvent
from domain.registry import EVENTS
from infrastructure.kafka.progress import progress_value
from infrastructure.kafka.records import sent, source_of
from infrastructure.kafka.schemas import (
    PROGRESS,
    asyncapi,
    documents,
    item_schema,
    text,
    write,
)
from projections.feed import Mark, Progress
from tests.fixtures.fix_events import History
from tests.golden.test_golden import LINES, NUMBERED, OPTIONAL, samples
from tests.unit.test_history import EVENTS_OF_A_LEDGER

DOCS = Path(__file__).parents[3] / "docs"
GOLDEN_ITEMS = [json.loads(line)["item"] for line in LINES]


def validator(document: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    jsonschema_rs.meta.validate(document)
    return jsonschema_rs.Draft202012Validator(document, validate_formats=True)


def holds(item: dict[str, Any], topic: str) -> bool:
    return validator(item_schema(topic)).is_valid(item)


# The files --------------------------------------------------------------------------------


def test_the_committed_files_are_those_of_the_code() -> None:
    committed = [DOCS / "asyncapi.json", *(DOCS / "schemas").iterdir()]
    assert {str(file.relative_to(DOCS)): file.read_text() for file in committed} == {
        path: text(document) for path, document in documents().items()
    }, "run: make schemas"


def test_what_is_written_is_what_is_committed(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path)
    written = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*.json")}
    assert written == documents().keys()
    assert (tmp_path / "asyncapi.json").read_text() == (DOCS / "asyncapi.json").read_text()


# Items ------------------------------------------------------------------------------------


@pytest.mark.parametrize("item", GOLDEN_ITEMS, ids=NUMBERED)
def test_what_was_ever_written_is_as_its_schema_says(item: dict[str, Any]) -> None:
    validator(item_schema(item["type"])).validate(item)


def test_events_of_a_ledger_are_as_their_schemas_say() -> None:
    for position, event in enumerate(EVENTS_OF_A_LEDGER, 1):
        item = event_item(position, event)
        validator(item_schema(event.TOPIC)).validate(item)


@pytest.mark.parametrize("event", samples(), ids=NUMBERED)
def test_what_lacks_a_member_or_has_another_kind_of_value_is_not(event: LedgerEvent) -> None:
    item = event_item(7, event)
    for members in (item, item["actor"], item["data"]):
        optional = OPTIONAL.get(event.TOPIC, set()) if members is item["data"] else set()
        for name, value in list(members.items()):
            for wrong in ([value], 0.5, "" if isinstance(value, bool) else True):
                members[name] = wrong
                assert not holds(item, event.TOPIC), (name, wrong)
            del members[name]
            assert holds(item, event.TOPIC) == (name in optional), name
            members[name] = value
    assert holds(item, event.TOPIC)


def test_members_added_later_are_no_fault() -> None:
    for event in samples():
        item = event_item(7, event)
        item["later"] = item["data"]["later"] = item["actor"]["later"] = None
        assert holds(item, event.TOPIC)


def test_an_item_of_another_type_is_not_of_this_one() -> None:
    frozen, unfrozen = (event_item(7, event) for event in samples()[2:4])
    assert frozen["data"].keys() == unfrozen["data"].keys()
    assert not holds(unfrozen, frozen["type"])


def test_the_account_after_a_command_is_described() -> None:
    decided = next(event for event in samples() if isinstance(event, CommandDecided))
    item = event_item(7, decided)
    item["data"]["account_after"]["max_balance"] = "much"
    assert not holds(item, decided.TOPIC)


@pytest.mark.parametrize("broken", ["position", "id", "recorded_at", "partitions"])
def test_a_progress_record_is_as_its_schema_says(broken: str) -> None:
    mark = Mark(42, f"{samples()[0].originator_id}:7", samples()[0].timestamp)
    progress = json.loads(progress_value(Progress(mark, {0: 42, 1: 0})))
    schema = validator(documents()[f"schemas/{PROGRESS}.json"])
    schema.validate(progress)
    progress[broken] = {"0": "none"} if broken == "partitions" else "none"
    assert not schema.is_valid(progress)


# What docs/kafka.md shows ------------------------------------------------------------------


def test_the_records_shown_in_docs_are_as_their_schemas_say() -> None:
    shown = re.findall(
        r"^```json\n(.*?)^```$", (DOCS / "kafka.md").read_text(), re.MULTILINE | re.DOTALL
    )
    event, progress = map(json.loads, shown)
    validator(item_schema(event["type"])).validate(event)
    validator(documents()[f"schemas/{PROGRESS}.json"]).validate(progress)


def test_docs_have_a_row_for_every_header() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \|", (DOCS / "kafka.md").read_text(), re.MULTILINE)
    assert rows == list(asyncapi()["components"]["schemas"]["headers"]["properties"])


# AsyncAPI ---------------------------------------------------------------------------------


def parts(of: Any) -> Iterator[dict[str, Any]]:
    if isinstance(of, dict):
        yield of
        for value in of.values():
            yield from parts(value)
    elif isinstance(of, list):
        for value in of:
            yield from parts(value)


def resolved(reference: str) -> Any:
    path, _, pointer = reference.partition("#")
    found: Any = documents()[path or "asyncapi.json"]
    for name in pointer.split("/")[1:]:
        found = found[name]
    return found


def test_every_reference_leads_somewhere() -> None:
    references = [part["$ref"] for part in parts(asyncapi()) if "$ref" in part]
    assert references
    for reference in references:
        assert resolved(reference), reference


def test_the_document_has_what_asyncapi_3_asks_for() -> None:
    document = asyncapi()
    assert document["asyncapi"] == "3.0.0"
    assert document["info"].keys() >= {"title", "version"}
    for channel in document["channels"].values():
        assert re.findall(r"\{(\w+)\}", channel["address"]) == list(channel["parameters"])
        assert all(re.fullmatch(r"[\w.-]+", name) for name in channel["messages"])
    for operation in document["operations"].values():
        assert operation["action"] == "receive"
        messages = resolved(operation["channel"]["$ref"])["messages"]
        within = operation["channel"]["$ref"] + "/messages/"
        assert [each["$ref"] for each in operation["messages"]] == [within + m for m in messages]


def test_every_kind_of_record_is_a_message_of_its_topic() -> None:
    events, progress = asyncapi()["channels"].values()
    assert events["messages"].keys() == EVENTS.keys()
    assert progress["messages"].keys() == {PROGRESS}
    assert events["bindings"]["kafka"]["partitions"] == 12
    for name, message in asyncapi()["components"]["messages"].items():
        assert message["name"] == name
        assert message["payload"] == {"$ref": f"schemas/{name}.json"}
        assert message["bindings"]["kafka"]["key"]["type"] == "string"


def test_the_headers_of_a_record_are_described() -> None:
    for record in History().open("a", "b").records():
        headers = {
            name: value.decode()
            for name, value in sent(record, source_of("main"), dict.fromkeys(range(12), 0)).headers
        }
        message = asyncapi()["components"]["messages"][record.event.TOPIC]
        schema = validator({**message["headers"], "components": asyncapi()["components"]})
        schema.validate(headers)
        for name in headers:
            assert not schema.is_valid({**headers, name: "?"}), name
            assert not schema.is_valid({k: v for k, v in headers.items() if k != name}), name
