"""One stored event per type ever released: what was written once is read the same for ever.

A line of events.jsonl is never edited. A new type, or a field added to one, gets a new line:
`python -m tests.golden.test_golden` prints the lines of the events in `samples()`.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from application.history import event_item
from domain.events import (
    AccountChanged,
    AccountClosed,
    AccountCredited,
    AccountDebited,
    AccountFrozen,
    AccountHeld,
    AccountOpened,
    AccountReleased,
    AccountUnfrozen,
    Actor,
    CommandDecided,
    Condition,
    LedgerEvent,
    PaymentCanceled,
    PaymentCaptured,
    PaymentExpired,
    PaymentHeld,
    PaymentRefunded,
    PaymentRefused,
    PaymentScheduled,
    PaymentSettled,
    PaymentVoided,
    Posting,
)
from domain.registry import EVENTS
from domain.request_events import (
    PaymentRequestCanceled,
    PaymentRequestChanged,
    PaymentRequestExpired,
    PaymentRequestOpened,
    PaymentRequestPaid,
)
from infrastructure.mapper import EventMapper, UnknownEventType, UnreadablePayload
from tests.golden.code_samples import pay_codes

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


OPTIONAL = {
    "tally.account.changed.v1": {"overdraft_limit", "max_balance", "metadata", "limits"},
    "tally.account.debited.v1": {"hold_left", "hold_expires_at"},
    "tally.account.credited.v1": {"hold_left", "hold_expires_at"},
    "tally.payment.settled.v1": {"refund_of", "payment_request", "paid_by"},
    "tally.payment.refused.v1": {"refund_of", "payment_request", "paid_by"},
    "tally.payment.pending.v1": {"paid_by"},
    "tally.payment.canceled.v1": {"released"},
    "tally.pay_code.used.v1": {"pay_code", "device", "step"},
    "tally.command.decided.v1": {
        *("account", "account_after", "payment", "payment_request", "pay_code", "device")
    },
}
"""Members of `data` that an item may be without, by type."""


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
        *whole_life(named, entry, payment),
        *payment_requests(named, {**payment, "value_date": None}),
        *pay_codes(COMMON, payment),
    ]


def whole_life(
    named: dict[str, Any], entry: dict[str, Any], payment: dict[str, Any]
) -> list[LedgerEvent]:
    """What came with holds, refunds, schedules and limits: new types, and members of older ones."""
    deadline = datetime(2026, 11, 30, 9, 30, 0, 123457, tzinfo=UTC)
    dropped = ("from_hold", "value_date")
    hold = {name: value for name, value in entry.items() if name not in dropped}
    held = {**hold, "side": "debit", "available": None, "expires_at": deadline}
    released = {**held, "side": "credit", "available": -3}
    del released["carrier"]
    limit = {"window": "day", "carrier": None, "max_count": 3, "max_amount": None}
    undated = {**payment, "value_date": None}
    return [
        AccountChanged(**named, changed={"limits": [limit]}),
        AccountDebited(
            **{**entry, "from_hold": True},
            available=None,
            reference=None,
            hold_left=0,
            hold_expires_at=deadline,
        ),
        AccountCredited(
            **{**entry, "from_hold": True},
            available=-3,
            reference="order-17",
            hold_left=7,
            hold_expires_at=deadline,
        ),
        AccountHeld(**held),
        AccountReleased(**released, reason="captured"),
        PaymentSettled(**undated, refund_of=STREAM),
        PaymentRefused(
            **undated,
            refusal={
                "code": "limit_exceeded",
                "account": "customers:zoë",
                "index": 0,
                "limit": limit,
                "frees_at": None,
            },
            refund_of=STREAM,
        ),
        PaymentHeld(**{**undated, "mode": "hold"}, expires_at=deadline),
        PaymentScheduled(
            **{**undated, "postings": (Posting("customers:zoë", "merchants:bob", 0, "EUR"),)},
            execute_at=deadline,
            conditions=(Condition("merchants:bob", "available", "gte", "-" + "9" * 30),),
            up_to=(9_007_199_254_740_991,),
        ),
        PaymentCaptured(**COMMON, amounts=(7,), released=(3,), final=True),
        PaymentVoided(**COMMON, released=(10,)),
        PaymentExpired(**COMMON, released=(0, 10)),
        PaymentRefunded(**COMMON, amounts=(7, 0), refund=COMMAND),
        PaymentCanceled(**COMMON),
        CommandDecided(
            **COMMON,
            account=None,
            fingerprint=bytes(32),
            name="capture_payment",
            outcome="refused",
            refusal={"code": "hold_expired"},
            account_after=None,
            payment=STREAM,
        ),
    ]


def payment_requests(named: dict[str, Any], payment: dict[str, Any]) -> list[LedgerEvent]:
    """What came with payment requests."""
    deadline = {
        "expires_in_s": 900,
        "expires_at": datetime(2026, 11, 23, 9, 45, 0, 123456, tzinfo=UTC),
    }
    return [
        PaymentRequestOpened(
            **COMMON,
            credit_account="merchants:zoë",
            amount_minor=None,
            currency="EUR",
            reference=None,
            description="Tea & scones",
            metadata={"table": "4"},
            **deadline,
            token_key="a1b2c3d4",
        ),
        PaymentRequestChanged(
            **COMMON, revision=2, amount_minor=1050, description=None, **deadline
        ),
        PaymentRequestPaid(**COMMON, payment=COMMAND, revision=2, amount_minor=1050),
        PaymentRequestCanceled(**COMMON),
        PaymentRequestExpired(**COMMON),
        PaymentSettled(**payment, payment_request=STREAM),
        PaymentRefused(**payment, refusal={"code": "same_account"}, payment_request=STREAM),
        CommandDecided(
            **named,
            fingerprint=bytes(32),
            name="pay_payment_request",
            outcome="refused",
            refusal={"code": "revision_changed", "revision": 2},
            account_after=None,
            payment_request=STREAM,
        ),
    ]


def golden_line(event: LedgerEvent) -> str:
    payload = EventMapper().to_stored_event(event).state.decode()
    item = event_item(42, event)
    return json.dumps({"type": event.TOPIC, "payload": payload, "item": item}, ensure_ascii=False)


LINES = GOLDEN.read_text().splitlines() if GOLDEN.exists() else []


NUMBERED = [f"{number}:{json.loads(line)['type']}" for number, line in enumerate(LINES, 1)]


@pytest.mark.parametrize("line", LINES, ids=NUMBERED)
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
    # The payload to the byte; the order of an item's members says nothing.
    written = [golden_line(event) for event in samples()]
    assert [json.loads(line) for line in written] == [json.loads(line) for line in LINES]


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
