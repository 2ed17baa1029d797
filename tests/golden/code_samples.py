"""Samples of what came with pay codes, devices, and payments that wait to be confirmed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from domain.code_events import (
    DeviceOnline,
    DeviceRegistered,
    DeviceRevoked,
    PayCodeExpired,
    PayCodeIssued,
    PayCodeUsed,
)
from domain.confirmation_events import PaymentConfirmed, PaymentDeclined, PaymentPending
from domain.events import (
    CommandDecided,
    LedgerEvent,
    PaymentCanceled,
    PaymentRefused,
    PaymentSettled,
    Posting,
)

CODE = UUID("5c6a2f31-90b7-8c1e-a5d0-6f2d1b0c9e44")


def pay_codes(common: dict[str, Any], payment: dict[str, Any]) -> list[LedgerEvent]:
    """`common` are the members of every event, `payment` those of a payment's first one."""
    deadline = datetime(2026, 11, 23, 9, 30, 45, 123456, tzinfo=UTC)
    command = {
        **common,
        "account": "customers:zoë",
        "fingerprint": bytes(32),
        "account_after": None,
    }
    nobody = {**payment, "postings": (Posting("", "merchants:bob", 1050, "EUR"),)}
    terms = {"debit_account": "customers:zoë", "currency": "EUR"}
    return [
        PaymentPending(**payment, value_date=None, expires_at=deadline, paid_by=CODE),
        PaymentConfirmed(**common, amounts=(1050,)),
        PaymentDeclined(**common, released=(1050,)),
        PaymentCanceled(**common, released=(1050,)),
        PaymentSettled(**payment, value_date=None, paid_by=CODE),
        PaymentRefused(**nobody, value_date=None, refusal={"code": "pay_code_invalid"}),
        PaymentRefused(
            **payment, value_date=None, refusal={"code": "pay_code_exceeded"}, paid_by=CODE
        ),
        PayCodeIssued(
            **common,
            **terms,
            max_amount_minor=9_007_199_254_740_991,
            confirm_above_minor=None,
            expires_at=deadline,
        ),
        PayCodeIssued(
            **common, **terms, max_amount_minor=1, confirm_above_minor=0, expires_at=deadline
        ),
        PayCodeUsed(**common, payment=CODE, amount_minor=1050),
        PayCodeUsed(**common, payment=CODE, amount_minor=1050, step=59_680_621),
        PayCodeExpired(**common),
        DeviceRegistered(
            **common,
            **terms,
            fingerprint=bytes(range(32)),
            handle="0417725",
            per_payment_max_minor=2000,
            offline_total_max_minor=5000,
        ),
        DeviceOnline(**common, offline_spent_minor=0),
        DeviceRevoked(**common),
        CommandDecided(
            **command, name="issue_pay_code", outcome="accepted", refusal=None, pay_code=CODE
        ),
        CommandDecided(
            **command,
            name="bring_device_online",
            outcome="refused",
            refusal={"code": "device_revoked"},
            device=CODE,
        ),
    ]
