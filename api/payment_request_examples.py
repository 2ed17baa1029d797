"""Examples of the OpenAPI document about payment requests: a shop asks, a customer pays."""

from typing import Any, Final

from api.examples import PAYMENT_MADE

_ID: Final = "3c1f6f9c-52a4-5d0e-8f0e-2b6a6f6f7d10"
_IN_URL: Final = "PB9vnFKkXQ6PDitqb299ECZpm3lZQ2v1N0m9q0c6b2s"

OPEN: Final[dict[str, Any]] = {
    "credit_account": "merchants:bob",
    "amount": 1050,
    "currency": "EUR",
    "reference": "order-17",
    "description": "Two teas, a scone",
}
OPENED: Final[dict[str, Any]] = {
    "id": _ID,
    "state": "open",
    "revision": 1,
    **OPEN,
    "metadata": {},
    "expires_in_s": 900,
    "expires_at": "2026-11-23T09:45:00.000000Z",
    "url": f"http://127.0.0.1:8000/p/{_IN_URL}",
    "qr_text": (
        f"00020101021226700019internal.tallystick0143{_IN_URL}520400005303978540510.50"
        "5802ZZ5913merchants:bob6008Anywhere62290525"
        "3c1f6f9c52a45d0e8f0e2b6a663045805"
    ),
    "payment_id": None,
    "created_at": "2026-11-23T09:30:00.000000Z",
    "position": 21,
}
CHANGE: Final = {"amount": 950}
CHANGED: Final[dict[str, Any]] = {**OPENED, "revision": 2, "amount": 950, "position": 23}
CANCELED: Final[dict[str, Any]] = {**OPENED, "state": "canceled", "position": 23}
PAY: Final[dict[str, Any]] = {"debit_account": "customers:alice", "revision": 1}
PAID: Final[dict[str, Any]] = {
    **PAYMENT_MADE,
    "carrier": "qr",
    "metadata": {},
    "payment_request": _ID,
    "position": 25,
}
ORDER: Final = (
    "eyJhbGciOiJFZERTQSIsImtpZCI6IjZ0cGFPa0QifQ.eyJpZCI6IjNjMWY2ZjljIiwicmV2aXNpb24iOjF9.c2ln"
)
KEYS: Final[dict[str, Any]] = {
    "keys": [
        {
            "crv": "Ed25519",
            "kty": "OKP",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
            "alg": "EdDSA",
            "use": "sig",
        }
    ]
}
