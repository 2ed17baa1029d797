"""`reconcile` proves payment requests: what each may come to, and what is read of it."""

from __future__ import annotations

from typing import Any

import pytest

from domain.events import CommandDecided, LedgerEvent, PaymentRefused, PaymentSettled
from domain.request_events import (
    PaymentRequestCanceled,
    PaymentRequestChanged,
    PaymentRequestExpired,
    PaymentRequestOpened,
    PaymentRequestPaid,
)
from tests.fixtures.fix_events import History
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_projections import catch_up
from tests.fixtures.fix_reconcile import (
    alter,
    alter_rows,
    assert_each_member_is_proven,
    checked,
)

OTHER = "0" * 32


def asking() -> History:
    """All that a payment request can come to."""
    history = History().open("shop").open("alice", overdraft_limit=100)
    paid = history.request("shop", 40, reference="order-17", metadata={"table": "4"})
    history.later(seconds=1).change_request(paid, amount_minor=30)
    history.change_request(paid, expires_in_s=60, description="tea")
    history.pay_request(paid, "alice")
    history.pay_request(history.request("shop"), "alice", 5)
    history.cancel_request(history.request("shop", 7))
    history.pay_request(history.request("shop", 1000), "alice")
    late = history.request("shop", 40, expires_in_s=30)
    history.request("shop", 41)
    history.later(seconds=30).expire_request(late)
    return history


ASKING = asking()


@pytest.fixture
def good(fresh_store: Store) -> Store:
    asking().store(fresh_store.app_dsn)
    catch_up(fresh_store.app_dsn, batch=3)
    return fresh_store


def test_a_good_ledger_has_no_differences(good: Store) -> None:
    assert checked(good).differences == []


ALTERED: dict[str, Any] = {
    "account": "alice",
    "actor": ["thief", "key-1", "request-1"],
    "amount_minor": 12345,
    "carrier": "nfc",
    "credit_account": "alice",
    "currency": "USD",
    "description": "cake",
    "expires_at": "2036-11-23T09:00:00Z",
    "expires_in_s": 12345,
    "metadata": {"a": "b"},
    "mode": "another",
    "name": "freeze_account",
    "outcome": "refused",
    "postings": [["alice", "shop", 12345, "EUR"]],
    "reference": "order-2",
    "refusal": {"code": "account_unknown"},
    "revision": 7,
    "token_key": "00000000",
    "value_date": "2026-01-02",
    "account_after": {"status": "frozen"},
    **dict.fromkeys(("command", "payment", "payment_request", "refund_of"), OTHER),
}
"""By member: a value that none of those events has."""

UNPROVEN: dict[type[LedgerEvent], tuple[str, ...]] = {
    PaymentRefused: ("actor",),
    PaymentRequestExpired: ("actor",),
}
"""What nothing else in the ledger tells: who caused an event that is its command's only one. Nor
does anything tell the amount and description of a revision that another has replaced."""


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        (PaymentRequestOpened, 1),
        (PaymentRequestOpened, -1),
        (PaymentRequestChanged, 1),
        (PaymentRequestPaid, 0),
        (PaymentRequestPaid, 1),
        (PaymentRequestCanceled, 0),
        (PaymentRequestExpired, 0),
        (PaymentSettled, 0),
        (PaymentRefused, 0),
        (CommandDecided, 2),
        (CommandDecided, 3),
        (CommandDecided, 6),
    ],
)
def test_any_altered_member_is_found(good: Store, kind: type[LedgerEvent], number: int) -> None:
    position = ASKING.position_of(kind, number)
    unproven = UNPROVEN.get(kind, ())
    assert_each_member_is_proven(good, ASKING, position, altered=ALTERED, unproven=unproven)


@pytest.mark.parametrize(
    ("kind", "number", "change", "named"),
    [
        (PaymentRequestChanged, 1, {"revision": 2}, "revision 2, not 3"),
        (PaymentRequestChanged, 0, {"expires_in_s": 901}, "its deadline is"),
        (PaymentRequestPaid, 0, {"amount_minor": 31}, "it is paid 31 of 30"),
        (PaymentRequestPaid, 0, {"revision": 2}, "revision 2 of 3"),
        (PaymentRequestOpened, 0, {"credit_account": "alice"}, "its payment credits [('shop'"),
        (PaymentRequestOpened, 0, {"reference": "r"}, "another reference or other metadata"),
        (PaymentRequestOpened, -2, {"expires_in_s": 31}, "its deadline is"),
        (PaymentSettled, 0, {"payment_request": None}, "that nothing before it asks for"),
    ],
)
def test_what_an_event_cannot_say_is_named(
    good: Store, kind: type[LedgerEvent], number: int, change: dict[str, Any], named: str
) -> None:
    alter(good, ASKING.position_of(kind, number), **change)
    report = checked(good)
    assert any(named in each for each in report.differences), report.differences


def test_a_payment_at_its_deadline_or_an_end_before_it_is_named(good: Store) -> None:
    at = "2026-11-23T09:00:01Z"  # when it was paid
    alter(good, ASKING.position_of(PaymentRequestChanged, 1), expires_at=at, expires_in_s=0)
    assert any("at or after its deadline" in each for each in checked(good).differences)
    alter(good, ASKING.position_of(PaymentRequestOpened, -2), expires_at="2026-11-23T10:00:00Z")
    assert any("expires before its deadline" in each for each in checked(good).differences)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        (
            "UPDATE payments_requests_g1 SET revision = 7 WHERE state = 'paid' AND revision = 3",
            "revision 7, should be 3",
        ),
        (
            "UPDATE payments_requests_g1 SET metadata = '{}' WHERE reference IS NOT NULL",
            "metadata (), should be (('table', '4'),)",
        ),
        ("DELETE FROM payments_requests_g1 WHERE state = 'canceled'", "missing"),
        (
            "UPDATE payments_requests_g1 SET state = 'open' WHERE state = 'expired'",
            "state open, should be expired",
        ),
        ("UPDATE payments_g1 SET payment_request = NULL", "payment_request None, should be"),
    ],
)
def test_a_row_that_is_not_so_is_named(good: Store, statement: str, named: str) -> None:
    alter_rows(good, statement)
    report = checked(good)
    assert any(named in each for each in report.differences), report.differences
