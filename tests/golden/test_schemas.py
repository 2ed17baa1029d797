"""Released schemas: what a consumer was told once stays true, so they change by addition alone.

The topic is read from its first record on, for ever, by consumers of any age. So a released
schema binds in both directions. Records of today must pass a consumer's old copy: no member
goes, none that was always there may be absent, no value is allowed that was not (a widened type
or bound, a new value of an enum or const). And records of then must pass the schema of today:
nothing that was allowed is forbidden, not even what is no longer written. A new member is not
`required`, though always written from now on: records from before it lack it. So only these
pass: a new member, a new type, and words (title, description, examples).

An enum is therefore a promise. Sets that grow (carriers, modes, codes, commands) are plain text
in the schemas, and docs/kafka.md tells consumers to expect new values.

`python -m tests.golden.test_schemas` freezes the schemas of today, at a release, if they pass.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from infrastructure.kafka.schemas import documents, text

RELEASED: Final = Path(__file__).with_name("schemas")
WORDS: Final = {"title", "description", "examples"}
WALKED: Final = {"$defs", "$ref", "properties", "required"}

Schema = dict[str, Any]


def todays() -> dict[str, Schema]:
    return {
        path.removeprefix("schemas/"): document
        for path, document in documents().items()
        if path.startswith("schemas/")
    }


def released() -> dict[str, Schema]:
    return {file.name: json.loads(file.read_text()) for file in sorted(RELEASED.iterdir())}


def breaches(then: Schema, now: Schema) -> list[str]:
    """Where the schema of today breaks what the released one told; empty where it only adds."""
    return _breaches(then, now, then, now, "")


def _breaches(then: Any, now: Any, all_then: Schema, all_now: Schema, at: str) -> list[str]:
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        return [
            breach
            for index, (before, after) in enumerate(zip(then, now, strict=True))
            for breach in _breaches(before, after, all_then, all_now, f"{at}/{index}")
        ]
    if not isinstance(then, dict) or not isinstance(now, dict):
        return [] if then == now and type(then) is type(now) else [f"{at}: {then!r} is now {now!r}"]
    then, now = _resolved(then, all_then), _resolved(now, all_now)
    found = []
    for name, member in then.get("properties", {}).items():
        if name not in now.get("properties", {}):
            found.append(f"{at}/{name} was removed")
        else:
            after = now["properties"][name]
            found += _breaches(member, after, all_then, all_now, f"{at}/{name}")
    always_then, always_now = set(then.get("required", ())), set(now.get("required", ()))
    found += [f"{at}/{name} may be absent now" for name in sorted(always_then - always_now)]
    found += [f"{at}/{name} was not always there" for name in sorted(always_now - always_then)]
    for rule in sorted((then.keys() | now.keys()) - WORDS - WALKED):
        before, after = then.get(rule), now.get(rule)
        if rule == "enum":
            before, after = sorted(before or ()), sorted(after or ())
        found += _breaches(before, after, all_then, all_now, f"{at} {rule}")
    return found


def _resolved(schema: Schema, whole: Schema) -> Schema:
    if "$ref" not in schema:
        return schema
    target: Schema = whole["$defs"][schema["$ref"].rpartition("/")[2]]
    return {**target, **{rule: value for rule, value in schema.items() if rule != "$ref"}}


@pytest.mark.parametrize("name", released())
def test_a_released_schema_changes_by_addition_alone(name: str) -> None:
    assert name in todays(), "a released type was removed"
    assert breaches(released()[name], todays()[name]) == []


def test_every_type_has_been_released() -> None:
    assert todays().keys() == released().keys(), "run: python -m tests.golden.test_schemas"


# What it would say ------------------------------------------------------------------------

Change = Callable[[Schema], object]
ENTRY: Final = "tally.account.debited.v1.json"
OPENED: Final = "tally.account.opened.v1.json"
SETTLED: Final = "tally.payment.settled.v1.json"


def data(schema: Schema) -> Schema:
    found: Schema = schema["$defs"][schema["properties"]["data"]["$ref"].rpartition("/")[2]]
    return found


def members(schema: Schema) -> Schema:
    found: Schema = data(schema)["properties"]
    return found


def changed(name: str, change: Change) -> list[str]:
    now = copy.deepcopy(todays()[name])
    change(now)
    return breaches(todays()[name], now)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        pytest.param(ENTRY, lambda s: members(s).pop("reference"), id="member removed"),
        pytest.param(ENTRY, lambda s: s["properties"].pop("actor"), id="member of item removed"),
        pytest.param(ENTRY, lambda s: data(s)["required"].remove("posted"), id="may be absent"),
        pytest.param(
            ENTRY,
            lambda s: (
                members(s).update(fee={"type": "integer"}),
                data(s)["required"].append("fee"),
            ),
            id="new and required",
        ),
        pytest.param(ENTRY, lambda s: members(s)["amount"].update(type="string"), id="type"),
        pytest.param(ENTRY, lambda s: members(s)["amount"].update(type="number"), id="wider type"),
        pytest.param(ENTRY, lambda s: members(s)["amount"].update(maximum=5), id="narrower bound"),
        pytest.param(ENTRY, lambda s: members(s)["amount"].pop("maximum"), id="wider bound"),
        pytest.param(ENTRY, lambda s: members(s)["currency"].update(enum=["EUR"]), id="new enum"),
        pytest.param(ENTRY, lambda s: members(s)["currency"].update(pattern="^E"), id="pattern"),
        pytest.param(ENTRY, lambda s: members(s)["payment"].pop("format"), id="format removed"),
        pytest.param(ENTRY, lambda s: members(s)["available"]["anyOf"].pop(), id="null forbidden"),
        pytest.param(
            ENTRY,
            lambda s: members(s).update(
                carrier={"anyOf": [members(s)["carrier"], {"type": "null"}]}
            ),
            id="null allowed",
        ),
        pytest.param(
            OPENED, lambda s: members(s)["normal_side"]["enum"].pop(), id="enum value gone"
        ),
        pytest.param(
            OPENED, lambda s: members(s)["normal_side"]["enum"].append("both"), id="new enum value"
        ),
        pytest.param(
            OPENED,
            lambda s: members(s)["metadata"].update(additionalProperties={"type": "integer"}),
            id="type of a map's values",
        ),
        pytest.param(
            OPENED, lambda s: data(s).update(additionalProperties=False), id="others forbidden"
        ),
        pytest.param(
            SETTLED,
            lambda s: s["$defs"]["PostingData"]["properties"].pop("credit"),
            id="member of an array's items removed",
        ),
        pytest.param(SETTLED, lambda s: s["properties"]["type"].update(const="x"), id="const"),
        pytest.param(SETTLED, lambda s: s.update({"$id": "urn:x"}), id="identity"),
        pytest.param(
            SETTLED,
            lambda s: s["$defs"]["ActorData"]["properties"].pop("key_id"),
            id="of the actor",
        ),
    ],
)
def test_a_change_that_breaks_somebody_is_told(name: str, change: Change) -> None:
    assert changed(name, change) != []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda s: members(s).update(fee={"type": "integer"}), id="new member"),
        pytest.param(lambda s: s["properties"].update(region={}), id="new member of the item"),
        pytest.param(lambda s: members(s)["amount"].update(description="Cents"), id="words"),
        pytest.param(lambda s: members(s)["carrier"].update(examples=["fax"]), id="examples"),
        pytest.param(lambda s: data(s)["required"].reverse(), id="order"),
        pytest.param(
            lambda s: (
                s["$defs"].update(Entry=data(s)),
                s["properties"]["data"].update({"$ref": "#/$defs/Entry"}),
            ),
            id="another name of a definition",
        ),
    ],
)
def test_what_only_adds_passes(change: Change) -> None:
    assert changed(ENTRY, change) == []


def test_what_has_a_breach_is_not_frozen(tmp_path: Path) -> None:
    now = copy.deepcopy(todays())
    freeze(tmp_path, now)
    members(now[ENTRY]).update(fee={"type": "integer"})
    freeze(tmp_path, now)
    assert "fee" in members(json.loads((tmp_path / ENTRY).read_text()))
    members(now[ENTRY]).pop("fee")
    with pytest.raises(AssertionError, match="fee was removed"):
        freeze(tmp_path, now)


def freeze(folder: Path, schemas: dict[str, Schema]) -> None:
    for name, schema in schemas.items():
        file = folder / name
        if file.exists():
            assert breaches(json.loads(file.read_text()), schema) == []
        file.write_text(text(schema))


if __name__ == "__main__":
    freeze(RELEASED, todays())
