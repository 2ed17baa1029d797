"""Examples of the OpenAPI document: one small story, a customer who pays a shop."""

from typing import Any, Final

from api.problems import Problem

_AT: Final = "2026-11-23T09:30:00.000000Z"
_PAYMENT_ID: Final = "0f7d2c9e-6a53-5a0b-9d44-0c5a3a0f7b11"
_POSTING: Final[dict[str, Any]] = {
    "debit": "customers:alice",
    "credit": "merchants:bob",
    "amount": 1050,
    "currency": "EUR",
}

OPEN_ACCOUNT: Final = {"id": "customers:alice", "currency": "EUR"}
CHANGE_ACCOUNT: Final[dict[str, Any]] = {
    "overdraft_limit": 50000,
    "limits": [{"window": "day", "max_count": 10, "max_amount": 100000, "carrier": "nfc"}],
}
REASON: Final = {"reason": "asked for by the customer"}
ACCOUNT: Final[dict[str, Any]] = {
    "id": "customers:alice",
    "currency": "EUR",
    "normal_side": "credit",
    "overdraft_limit": 0,
    "max_balance": None,
    "metadata": {},
    "status": "open",
    "version": 1,
    "limits": [],
    "opened_at": _AT,
    "position": 2,
}
PAYMENT: Final[dict[str, Any]] = {
    "postings": [_POSTING],
    "mode": "settle",
    "carrier": "api",
    "reference": "order-17",
    "metadata": {"table": "4"},
}
PAYMENT_READ: Final[dict[str, Any]] = {
    "id": _PAYMENT_ID,
    "state": "settled",
    "mode": "settle",
    "postings": [{**_POSTING, "captured": 1050, "refunded": 0}],
    "reference": "order-17",
    "carrier": "api",
    "value_date": "2026-11-23",
    "metadata": {"table": "4"},
    "created_at": _AT,
    "hold_expires_at": None,
    "confirm_expires_at": None,
    "refund_of": None,
    "payment_request": None,
    "position": 12,
}


def _balances(alice: int, bob: int, *, pending: int = 0) -> dict[str, Any]:
    """Of the customer, who has so much of it pending, and of the shop."""
    return {
        "balances": [
            {
                "account": "customers:alice",
                "currency": "EUR",
                "posted": alice,
                "pending_debit": pending,
                "pending_credit": 0,
                "available": alice - pending,
            },
            {
                "account": "merchants:bob",
                "currency": "EUR",
                "posted": bob,
                "pending_debit": 0,
                "pending_credit": pending,
                "available": bob,
            },
        ]
    }


PAYMENT_MADE: Final[dict[str, Any]] = {**PAYMENT_READ, **_balances(8950, 1050)}
CAPTURE: Final = {"amount": 800, "final": True}
_HELD: Final[dict[str, Any]] = {
    **PAYMENT_READ,
    "mode": "hold",
    "hold_expires_at": "2026-11-30T09:30:00.000000Z",
}
PAYMENT_CAPTURED: Final[dict[str, Any]] = {
    **_HELD,
    "postings": [{**_POSTING, "captured": 800, "refunded": 0}],
    "position": 19,
    **_balances(9200, 800),
}
PAYMENT_VOIDED: Final[dict[str, Any]] = {
    **_HELD,
    "state": "voided",
    "postings": [{**_POSTING, "captured": 0, "refunded": 0}],
    "position": 17,
    **_balances(10000, 0),
}
PAYMENT_CANCELED: Final[dict[str, Any]] = {
    **PAYMENT_READ,
    "state": "canceled",
    "postings": [{**_POSTING, "captured": 0, "refunded": 0}],
    "position": 14,
    "balances": [],
}
REFUND: Final = {"amount": 300}
PAYMENT_REFUNDING: Final[dict[str, Any]] = {
    **PAYMENT_READ,
    "id": "5b0f3a77-9d6e-5c55-8f0a-6a3f0c2f9e21",
    "postings": [
        {
            "debit": "merchants:bob",
            "credit": "customers:alice",
            "amount": 300,
            "currency": "EUR",
            "captured": 300,
            "refunded": 0,
        }
    ],
    "metadata": {},
    "refund_of": _PAYMENT_ID,
    "position": 16,
    **_balances(9250, 750),
}
BULK: Final[list[dict[str, Any]]] = [
    {"idempotency_key": f"order-{number}", "postings": [{**_POSTING, "amount": amount}]}
    for number, amount in ((17, 1050), (18, 99000))
]
BULK_ANSWERS: Final[list[dict[str, Any]]] = [
    {"status": 201, "replayed": False, **PAYMENT_MADE},
    {
        "replayed": False,
        **Problem("insufficient_funds", account="customers:alice", index=0).document("3f2c9a1e"),
    },
]
BALANCE: Final[dict[str, Any]] = {
    "account": "customers:alice",
    "currency": "EUR",
    "normal_side": "credit",
    "posted": 8950,
    "pending_debit": 0,
    "pending_credit": 0,
    "available": 8950,
    "version": 3,
    "position": 12,
}
HOLD: Final[dict[str, Any]] = {
    "payment_id": _PAYMENT_ID,
    "side": "debit",
    "amount": 1050,
    "captured": 0,
    "currency": "EUR",
    "counter_account": "merchants:bob",
    "expires_at": "2026-11-30T09:30:00.000000Z",
}
TOTALS: Final[dict[str, Any]] = {
    "items": [
        {
            "currency": "EUR",
            "normal_side": "credit",
            "posted": 8950,
            "pending_debit": 0,
            "pending_credit": 0,
            "accounts": 1,
        }
    ],
    "position": 12,
}
TRIAL_BALANCE: Final[dict[str, Any]] = {
    "position": 12,
    "balanced": True,
    "currencies": [{"currency": "EUR", "total_debits": 10000, "total_credits": 10000}],
}
TRIAL_BALANCE_LINE: Final = {
    "account": "customers:alice",
    "currency": "EUR",
    "debit": 0,
    "credit": 8950,
}
STATEMENT: Final[dict[str, Any]] = {
    "account": "customers:alice",
    "currency": "EUR",
    "from": "2026-11-01",
    "to": "2026-12-01",
    "by": "booking_date",
    "opening_balance": 10000,
    "entries": [
        {
            "position": 11,
            "recorded_at": _AT,
            "booking_date": "2026-11-23",
            "value_date": "2026-11-23",
            "payment_id": _PAYMENT_ID,
            "side": "debit",
            "amount": 1050,
            "balance": 8950,
            "counter_accounts": ["merchants:bob"],
            "reference": "order-17",
        }
    ],
    "closing_balance": 8950,
    "total_debits": 1050,
    "total_credits": 0,
    "position": 12,
    "next_cursor": None,
}
STATEMENT_CSV: Final = (
    "position,recorded_at,booking_date,value_date,payment_id,side,amount,amount_decimal,currency,"
    "balance,reference\r\n"
    f"11,{_AT},2026-11-23,2026-11-23,{_PAYMENT_ID},debit,1050,10.50,EUR,8950,order-17\r\n"
)
_ACTOR: Final = {"caller": "shop", "key_id": "k1", "request_id": "3f2c9a1e"}
EVENT: Final[dict[str, Any]] = {
    "position": 1,
    "type": "tally.account.opened.v1",
    "stream": "customers:alice",
    "version": 1,
    "recorded_at": _AT,
    "actor": _ACTOR,
    "data": {
        "account": "customers:alice",
        "currency": "EUR",
        "normal_side": "credit",
        "overdraft_limit": 0,
        "max_balance": None,
        "metadata": {},
    },
}
TIMELINE_ITEM: Final[dict[str, Any]] = {
    "position": 10,
    "recorded_at": _AT,
    "type": "tally.payment.settled.v1",
    "actor": _ACTOR,
    "amount": 1050,
}
STATUS: Final[dict[str, Any]] = {
    "end": 12,
    "projections": {
        name: {"position": 12, "lag": 0, "lag_s": 0.0}
        for name in ("accounts", "balances", "payments", "statements")
    },
    "mirror": None,
}
QR_TEXT: Final = (
    "00020101021126400019internal.tallystick0113merchants:bob5204000053039785802ZZ"
    "5913merchants:bob6008Anywhere630495EE"
)
QR_TEXT_BODY: Final = {"text": QR_TEXT}
QR_READ: Final[dict[str, Any]] = {
    "kind": "emvco",
    "fields": {
        "00": "01",
        "01": "11",
        "26": {"00": "internal.tallystick", "01": "merchants:bob"},
        "52": "0000",
        "53": "978",
        "58": "ZZ",
        "59": "merchants:bob",
        "60": "Anywhere",
        "63": "95EE",
    },
    "currency": "EUR",
    "amount": None,
}
CODE_READ: Final = {"code": "900012345678901234567895"}


def listed(*items: Any) -> dict[str, Any]:
    """A list's only page."""
    return {"items": list(items), "next_cursor": None, "position": 12}
