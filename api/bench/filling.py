"""What a store holds before anything is measured: accounts, and payments between them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Final

from api.bench.jobs import HOT
from application.commands import Command, MakePayment, OpenAccount
from domain.events import Actor, Posting
from domain.ids import command_stream
from domain.order import PaymentOrder

EVENTS_A_PAYMENT: Final = 3
EVENTS_AN_OPENING: Final = 2
_BY: Final = Actor("bench", "key_bench", "filled")
_CURRENCY: Final = "EUR"
_LARGEST: Final = 100_000


def commands(*, ledger: str, prefix: str, accounts: int, payments: int) -> Iterator[Command]:
    """Opens `{prefix}0` and so on and `{prefix}hot`, which may owe as much as they like, and makes
    payments of random amounts between random ones of them."""
    chance = random.Random(1)  # noqa: S311 (amounts, no secrets)

    def by(key: str) -> dict[str, Any]:
        return {
            "id": command_stream(ledger, _BY.caller, key),
            "fingerprint": bytes(32),
            "actor": _BY,
        }

    for name in (*range(accounts), HOT):
        yield OpenAccount(
            **by(f"open-{name}"),
            account=f"{prefix}{name}",
            currency=_CURRENCY,
            overdraft_limit=None,
            metadata={},
        )
    for number in range(payments):
        debit, credit = chance.sample(range(accounts), 2)
        posting = Posting(
            f"{prefix}{debit}", f"{prefix}{credit}", chance.randint(1, _LARGEST), _CURRENCY
        )
        yield MakePayment(
            **by(f"pay-{number}"), order=PaymentOrder(postings=(posting,), metadata={})
        )
