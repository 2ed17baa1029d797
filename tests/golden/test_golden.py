"""One stored event per type ever released: what was written once is read the same for ever.

A line of events.jsonl is never edited. A new type, or a field added to one, gets a new line:
`python -m tests.golden.test_golden` prints the lines of the events in `samples()`.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import pytest

from application.history import event_item
from domain.events import (
    EVENTS,
    AccountChanged,
    AccountClosed,
    AccountCredited,
    AccountDebited,
    AccountFrozen,
    AccountOpened,
    AccountUnfrozen,
    Actor,
    CommandDecided,
    LedgerEvent,
    PaymentRefused,
    PaymentSettled,
    Posting,
)
from infrastructure.mapper import EventMapper, UnknownEventType, UnreadablePayload

GOLDEN = Path(__file__).with_name("events.jsonl")
STREAM = UUID("11111111-2222-4333-8444-555555555555")
COMMAND = UUID("99999999-8888-4777-8666-555555555555")
RECORDED_AT = datetime(2026, 11, 23, 9, 30, 0, 123456, tzinfo=UTC)
COMMON = {
    "originator_id": STREAM,
    "originator_version": 7,
    "timestamp": RECORDED_AT,
    "command": COMMAND,
    "actor": Actor("shop", "key-1", "request-1"),
}


def samples() -> list[LedgerEvent]:
    named = {**COMMON, "account": "customers:zoë"}
    entry = {
        **named,
        "payment": COMMAND,
        "index": 0,
        "amount_minor": 9_007_199_254_740_991,
        "currency": "EUR",
        "from_hold": False,
        "posted": -(2**63),
        "pending_debit": 0,
        "pending_credit": 1,
        "value_date": date(2026, 11, 20),
        "counter_account": "merchants:bob",
        "carrier": "api",
    }
    payment = {
        **COMMON,
        "fingerprint": bytes(range(32)),
        "postings": (Posting("customers:zoë", "merchants:bob", 1050, "EUR"),),
        "mode": "settle",
        "carrier": "qr",
        "reference": "order-17",
        "metadata": {"table": "4"},
    }
    return [
        AccountOpened(
            **named,
            currency="EUR",
            normal_side="credit",
            overdraft_limit=None,
            max_balance=5,
            metadata={"k": "v"},
        ),
        AccountChanged(**named, changed={"overdraft_limit": None, "metadata": {"a": "b"}}),
        AccountFrozen(**named, reason="fraud"),
        AccountUnfrozen(**named, reason="cleared"),
        AccountClosed(**named, reason="moved"),
        AccountDebited(**entry, available=None, reference=None),
        AccountCredited(**entry, available=-3, reference="order-17"),
        PaymentSettled(**payment, value_date=None),
        PaymentRefused(
            **payment,
            value_date=date(2026, 11, 20),
            refusal={"code": "insufficient_funds", "account": "customers:zoë", "index": 0},
        ),
        CommandDecided(
            **named,
            fingerprint=bytes(32),
            name="freeze_account",
            outcome="refused",
            refusal={"code": "account_closed", "account": "customers:zoë"},
            account_after={"id": "customers:zoë", "limits": [], "version": 7},
        ),
    ]


def golden_line(event: LedgerEvent) -> str:
    payload = EventMapper().to_stored_event(event).state.decode()
    item = event_item(42, event)
    return json.dumps({"type": event.TOPIC, "payload": payload, "item": item}, ensure_ascii=False)


LINES = GOLDEN.read_text().splitlines() if GOLDEN.exists() else []


@pytest.mark.parametrize("line", LINES, ids=[json.loads(line)["type"] for line in LINES])
def test_what_was_stored_once_is_read_and_shown_the_same(line: str) -> None:
    golden = json.loads(line)
    event = EventMapper().decode(golden["type"], golden["payload"].encode(), STREAM, 7, RECORDED_AT)
    shown = event_item(42, event)
    assert {name: shown[name] for name in golden["item"]} == golden["item"]


def test_what_is_written_today_is_read_back_the_same() -> None:
    mapper = EventMapper()
    for event in samples():
        stored = mapper.to_stored_event(event)
        assert mapper.decode(stored.topic, stored.state, STREAM, 7, RECORDED_AT) == event


def test_every_type_has_a_golden_line_and_is_written_so_today() -> None:
    assert {json.loads(line)["type"] for line in LINES} == set(EVENTS)
    assert [golden_line(event) for event in samples()] == LINES


def test_a_type_out_of_the_registry_is_not_loaded() -> None:
    with pytest.raises(UnknownEventType):
        EventMapper().decode("os:system", b"[]", STREAM, 1, RECORDED_AT)


@pytest.mark.parametrize("payload", [b"", b"{}", b"[1]", b"\xff", b"[null,null]"])
def test_a_damaged_payload_is_named(payload: bytes) -> None:
    with pytest.raises(UnreadablePayload):
        EventMapper().decode("tally.account.frozen.v1", payload, STREAM, 1, RECORDED_AT)


if __name__ == "__main__":
    for sample in samples():
        print(golden_line(sample))
