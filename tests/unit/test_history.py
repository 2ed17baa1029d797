"""Items of events: what is written to the auditor and to Kafka is read back as it was."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from application.answers import account_resource
from application.event_data import AccountAfter
from application.history import (
    NO_COMMAND,
    NO_FINGERPRINT,
    UnknownItemType,
    UnreadableItem,
    event_item,
    event_json,
    event_of,
    stream_name,
)
from domain.code_events import DeviceRegistered
from domain.events import (
    AccountEntry,
    AccountHeld,
    CommandDecided,
    Condition,
    LedgerEvent,
    PaymentDecided,
)
from domain.ids import account_stream
from domain.registry import EVENTS
from tests.fixtures.fix_codes import CodeHistory
from tests.golden.test_golden import OPTIONAL, samples


def history() -> CodeHistory:
    made = CodeHistory().open("a", "b", metadata={"k": "v"}).open("cash", normal_side="debit")
    made.change("a", overdraft_limit=5, max_balance=None, metadata={})
    made.freeze("a").unfreeze("a").open("empty").close("empty")
    made.later(microseconds=1).pay(("cash", "a", 100), ("a", "b", 30), reference="r")
    made.pay(("a", "b", 10**9))
    made.pay(("a", "nobody", 1))
    limit = {"window": "day", "carrier": "qr", "max_count": 3, "max_amount": None}
    made.change("a", limits=[limit])
    held = made.hold(("a", "b", 9), carrier="qr", reference="h")
    made.capture(held, 4, final=False).capture(held, 2)
    made.refund(made.refund(held, 5))
    made.void(made.hold(("a", "b", 3)))
    expired = made.hold(("cash", "b", 3), hold_timeout_s=1)
    at = {"execute_at": made.now + timedelta(seconds=1)}
    settled, refused = made.pay(("cash", "b", 8), **at), made.pay(("a", "b", 10**9), **at)
    condition = Condition("b", "posted", "lt", "9")
    made.cancel(made.pay(("a", "b", 0), up_to=(7,), conditions=(condition,), **at))
    made.confirm(made.pending("cash", "b", 5)).decline(made.pending("cash", "b", 5))
    made.cancel(made.pending("cash", "b", 5))
    made.pay_by(made.issue("cash"), "b", 7, carrier="nfc")
    made.pay_by(None, "b", 7)
    made.pay_by(made.issue("cash", 1), "b", 7)
    forgotten, device = made.issue("cash", expires_in_s=1), made.register("cash")
    made.pay_offline(device, "b", 7)
    made.online(device).revoke(device)
    late = made.request("b", expires_in_s=1)
    asked = made.request("b", 12, reference="table 4", metadata={"waiter": "zoë"})
    made.change_request(asked, amount_minor=None, description="tea").pay_request(asked, "cash", 3)
    made.pay_request(made.request("b", 10**9), "a")
    made.cancel_request(made.request("b"))
    made.later(seconds=1).expire(expired).expire_request(late)
    made.execute(settled).execute(refused)
    made.expire_code(forgotten)
    return made


EVENTS_OF_A_LEDGER = history().events
TOLD = [*samples(), *EVENTS_OF_A_LEDGER]
NUMBERED = [f"{number}:{event.TOPIC}" for number, event in enumerate(TOLD)]


@pytest.mark.parametrize("event", TOLD, ids=NUMBERED)
def test_an_item_read_and_written_again_is_the_same(event: LedgerEvent) -> None:
    item = event_item(7, event)
    assert event_item(*event_of(json.dumps(item).encode(), ledger="main")) == item


@pytest.mark.parametrize("event", TOLD, ids=NUMBERED)
def test_the_bytes_are_those_of_the_item(event: LedgerEvent) -> None:
    assert event_json(7, event) == msgspec.json.encode(event_item(7, event))


def test_an_event_read_from_its_item_is_the_event_but_for_what_no_item_tells() -> None:
    for position, event in enumerate(EVENTS_OF_A_LEDGER, 1):
        told: dict[str, Any] = {}
        if isinstance(event, PaymentDecided | CommandDecided | DeviceRegistered):
            told["fingerprint"] = NO_FINGERPRINT
        if not tells_its_command(event):
            told["command"] = NO_COMMAND
        elif isinstance(event, AccountEntry):
            told["command"] = event.payment  # of a scheduled one, too, which the ledger executes
        read = event_of(event_json(position, event), ledger="main")
        assert read == (position, replace(event, **told))
        assert vars(read[1]).keys() == {field.name for field in fields(event)}


def tells_its_command(event: LedgerEvent) -> bool:
    """What a payment does when it is made is the payment's command; a command's own record tells
    it too."""
    if isinstance(event, AccountEntry):
        return not event.from_hold
    if isinstance(event, AccountHeld | CommandDecided | DeviceRegistered):
        return True
    return isinstance(event, PaymentDecided) and event.originator_version == 1


def test_the_history_has_every_type() -> None:
    assert {event.TOPIC for event in EVENTS_OF_A_LEDGER} == set(EVENTS)


def test_the_stream_of_an_account_is_that_of_the_ledger_named() -> None:
    _, event = event_of(event_json(1, EVENTS_OF_A_LEDGER[0]), ledger="other")
    assert event.originator_id == account_stream("other", stream_name(event))


def test_members_added_later_are_ignored() -> None:
    for event in samples():
        item = event_item(7, event)
        item["later"] = item["data"]["later"] = item["actor"]["later"] = {"a": [1, None]}
        for posting in item["data"].get("postings", ()):
            posting["later"] = 1
        read = event_of(json.dumps(item).encode(), ledger="main")
        assert read == event_of(event_json(7, event), ledger="main")


def test_every_member_is_needed_and_no_other_kind_of_value_will_do() -> None:
    for event in samples():
        item = event_item(7, event)
        for members in (item, item["actor"], item["data"]):
            optional = OPTIONAL.get(event.TOPIC, set()) if members is item["data"] else set()
            for name, value in list(members.items()):
                for wrong in ([value], 0.5, "" if isinstance(value, bool) else True):
                    members[name] = wrong
                    with pytest.raises(UnreadableItem):
                        event_of(json.dumps(item).encode(), ledger="main")
                del members[name]
                if name not in optional:
                    with pytest.raises(UnreadableItem):
                        event_of(json.dumps(item).encode(), ledger="main")
                members[name] = value


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("position", 0),
        ("version", 0),
        ("stream", "customers:bob"),
        ("recorded_at", "2026-13-23T09:30:00.123456Z"),
        ("recorded_at", "2026-11-23T09:30:00Z"),
        ("recorded_at", "2026-11-23T09:30:00.123456"),
        ("recorded_at", "2026-11-23T09:30:00.123456Z\n"),
        ("data", {}),
    ],
)
def test_an_item_out_of_its_bounds_is_unreadable(member: str, value: Any) -> None:
    for event in samples():
        item = {**event_item(7, event), member: value}
        with pytest.raises(UnreadableItem):
            event_of(json.dumps(item).encode(), ledger="main")


@pytest.mark.parametrize(
    "value",
    [b"", b"{}", b"null", b"[]", b"\xff", b'{"position": 1', b"[" * 100_000, b"{}{}"],
    ids=lambda value: repr(value[:12]),
)
def test_what_is_no_item_is_unreadable(value: bytes) -> None:
    with pytest.raises(UnreadableItem):
        event_of(value, ledger="main")


def test_a_value_nested_without_end_or_in_no_utf8_is_unreadable() -> None:
    frozen = event_json(7, samples()[2])
    for damaged in (
        frozen.replace(b'"fraud"', b"[" * 100_000 + b"]" * 100_000),
        frozen.replace(b"fraud", b"\xff"),
        frozen[:-1],
    ):
        assert damaged != frozen
        with pytest.raises(UnreadableItem):
            event_of(damaged, ledger="main")


def test_an_unknown_type_is_named() -> None:
    value = event_json(7, samples()[2]).replace(b"frozen.v1", b"frozen.v2")
    with pytest.raises(UnknownItemType, match=r"tally\.account\.frozen\.v2"):
        event_of(value, ledger="main")


def test_the_account_after_a_command_is_what_its_schema_says() -> None:
    for account in history().accounts.values():
        after = account_resource(account)
        assert list(after) == list(AccountAfter.__struct_fields__)
        msgspec.convert(after, AccountAfter)
