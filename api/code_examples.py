"""Examples of the OpenAPI document: the customer pays by a code."""

from typing import Any, Final

from api import examples
from api.operations import BINARY

_AT: Final = "2026-11-23T09:30:00.000000Z"
_OVER_AT: Final = "2026-11-23T09:31:00.000000Z"

PAY_CODE: Final[dict[str, Any]] = {
    "debit_account": "customers:alice",
    "currency": "EUR",
    "max_amount": 5000,
    "confirm_above": 2500,
}
PAY_CODE_READ: Final[dict[str, Any]] = {
    "id": "5c6a2f31-90b7-8c1e-a5d0-6f2d1b0c9e44",
    "state": "live",
    "debit_account": "customers:alice",
    "currency": "EUR",
    "max_amount": 5000,
    "confirm_above": 2500,
    "expires_at": _OVER_AT,
    "payment_id": None,
    "created_at": _AT,
    "position": 21,
}
PAY_CODE_MADE: Final[dict[str, Any]] = {**PAY_CODE_READ, "code": "970012345678901234567891"}
PAYMENT_CONFIRMED: Final[dict[str, Any]] = {
    **examples.PAYMENT_MADE,
    "confirm_expires_at": "2026-11-23T09:30:45.000000Z",
}
PAYMENT_DECLINED: Final[dict[str, Any]] = {
    **PAYMENT_CONFIRMED,
    "state": "declined",
    "postings": [{**examples.PAYMENT_READ["postings"][0], "captured": 0}],
}
DEVICE: Final[dict[str, Any]] = {
    "debit_account": "customers:alice",
    "currency": "EUR",
    "per_payment_max": 2000,
    "offline_total_max": 5000,
}
DEVICE_READ: Final[dict[str, Any]] = {
    "id": "7a1f3c55-1d2e-5b8a-9c40-2e6b7d8f9a10",
    "state": "active",
    "handle": "0417725",
    **DEVICE,
    "offline_spent": 0,
    "created_at": _AT,
    "position": 23,
}
DEVICE_MADE: Final[dict[str, Any]] = {
    **DEVICE_READ,
    "secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
}
DEVICE_REVOKED: Final[dict[str, Any]] = {**DEVICE_READ, "state": "revoked", "position": 25}
CARRIERS: Final[dict[str, Any]] = dict.fromkeys(
    ("image/png", "image/svg+xml", "application/octet-stream", "audio/wav"), BINARY
)
CARRIERS_REPORT: Final[dict[str, Any]] = {
    "items": [
        {"carrier": "api", "currency": "EUR", "payments": 2, "amount": 12500},
        {"carrier": "qr", "currency": "EUR", "payments": 1, "amount": 1050},
    ],
    "position": 25,
}
