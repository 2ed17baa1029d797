"""Given accounts, when a payment, then its events: the words the domain's tests are written in."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid5

from domain.account import Account
from domain.decisions import make
from domain.events import Actor, LedgerEvent, Posting
from domain.ids import account_stream
from domain.order import PaymentOrder

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
ACTOR = Actor("shop", "key-1", "request-1")
COMMAND = UUID("00000000-0000-4000-8000-000000000001")


def account(account_id: str, posted: int = 0, **terms: Any) -> Account:
    """An open account in EUR with that much posted; `status` freezes or closes it."""
    status = terms.pop("status", "open")
    chosen = {
        "currency": "EUR",
        "normal_side": "credit",
        "overdraft_limit": 0,
        "max_balance": None,
        "metadata": {},
        **terms,
    }
    made = Account.open(
        stream=account_stream("main", account_id),
        command=COMMAND,
        actor=ACTOR,
        now=NOW,
        account=account_id,
        **chosen,
    )
    made.posted = posted
    made.status = status
    made.collect()
    return made


def order(*postings: tuple[str, str, int] | Posting, **terms: Any) -> PaymentOrder:
    """A payment of postings (debit, credit, amount) in EUR."""
    return PaymentOrder(
        postings=tuple(
            one if isinstance(one, Posting) else Posting(*one, "EUR") for one in postings
        ),
        metadata=terms.pop("metadata", {}),
        **terms,
    )


def when(
    accounts: list[Account], wanted: PaymentOrder, *, now: datetime = NOW, number: int = 1
) -> list[LedgerEvent]:
    """The events of that payment on those accounts."""
    _, events = make(
        wanted,
        {one.account: one for one in accounts},
        payment=uuid5(COMMAND, str(number)),
        fingerprint=b"f" * 32,
        actor=ACTOR,
        now=now,
    )
    return events


def refusal_of(events: list[LedgerEvent]) -> Any:
    """What the payment was refused for, None where it settled."""
    return getattr(events[0], "refusal", None)


TODAY: date = NOW.date()
