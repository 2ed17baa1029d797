"""`reconcile` proves pay codes, devices and confirmations: what each may come to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

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
)
from tests.fixtures.fix_codes import CodeHistory
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_projections import catch_up
from tests.fixtures.fix_reconcile import (
    alter,
    alter_rows,
    assert_each_member_is_proven,
    checked,
)

OTHER = "0" * 32


def showing() -> CodeHistory:
    """All that a code, a device and a confirmation can come to."""
    town = CodeHistory()
    town.open("cash").open("alice", "shop", overdraft_limit=0)
    town.pay(("cash", "alice", 1000))
    town.later(seconds=1)
    town.pay_by(town.issue("alice", 500, confirm_above_minor=400), "shop", 100, carrier="qr")
    forgotten = town.issue("alice", expires_in_s=30)
    town.confirm(town.pending("alice", "shop", 20))
    town.decline(town.pending("alice", "shop", 30))
    town.cancel(town.pending("alice", "shop", 40))
    late = town.pending("alice", "shop", 50)
    town.pay_by(None, "shop", 5)
    device, stolen = town.register("alice", 100, 250), town.register("alice")
    town.pay_offline(device, "shop", 60, skew=-1)
    town.pay_offline(device, "shop", 70)
    town.online(device).revoke(stolen).revoke(stolen)
    town.later(seconds=45).expire_code(forgotten)  # type: ignore[attr-defined]
    town.expire(late)
    town.issue("alice")
    town.pending("alice", "shop", 5)
    return town


SHOWING = showing()


@pytest.fixture
def good(fresh_store: Store) -> Store:
    showing().store(fresh_store.app_dsn)
    catch_up(fresh_store.app_dsn, batch=7)
    return fresh_store


def test_a_good_ledger_has_no_differences(good: Store) -> None:
    report = checked(good)
    assert report.differences == []
    assert report.sums == {"EUR": 0}


ALTERED: dict[str, Any] = {
    "account": "shop",
    "account_after": {"status": "frozen"},
    "actor": ["thief", "key-1", "request-1"],
    "carrier": "nfc",
    "confirm_above_minor": 1,
    "currency": "USD",
    "debit_account": "shop",
    "expires_at": "2036-11-23T09:00:00Z",
    "handle": "7777777",
    "max_amount_minor": 12345,
    "metadata": {"a": "b"},
    "mode": "another",
    "name": "freeze_account",
    "outcome": "refused",
    "postings": [["alice", "shop", 12345, "EUR"]],
    "reference": "order-2",
    "refusal": {"code": "account_unknown"},
    "value_date": "2026-01-02",
    "step": 5,
    "amounts": [12345],
    "released": [12345],
    **dict.fromkeys(("amount_minor", "per_payment_max_minor", "offline_total_max_minor"), 12345),
    "offline_spent_minor": 12345,
    **dict.fromkeys(
        ("command", "payment", "payment_request", "refund_of", "paid_by", "pay_code", "device"),
        OTHER,
    ),
}
"""By member: a value that none of those events has."""

UNPROVEN: dict[type[LedgerEvent], tuple[str, ...]] = {
    PaymentRefused: ("actor",),
    PayCodeExpired: ("actor",),
    DeviceRegistered: ("actor",),
}
"""What nothing else in the ledger tells: who caused an event that is its command's only one."""


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        (PayCodeIssued, 0),
        (PayCodeUsed, 0),
        (PayCodeUsed, -2),
        (PayCodeExpired, 0),
        (DeviceRegistered, 0),
        (DeviceOnline, 0),
        (DeviceRevoked, 0),
        (PaymentPending, 0),
        (PaymentConfirmed, 0),
        (PaymentDeclined, 0),
        (PaymentCanceled, 0),
        (PaymentSettled, 1),
        (PaymentRefused, 0),
        (CommandDecided, 3),
        (CommandDecided, 12),
    ],
)
def test_any_altered_member_is_found(good: Store, kind: type[LedgerEvent], number: int) -> None:
    position = SHOWING.position_of(kind, number)
    unproven = UNPROVEN.get(kind, ())
    assert_each_member_is_proven(good, SHOWING, position, altered=ALTERED, unproven=unproven)


@pytest.mark.parametrize(
    ("kind", "number", "change", "named"),
    [
        (PayCodeIssued, 0, {"max_amount_minor": 99}, "100 is above 99"),
        (PayCodeIssued, 0, {"confirm_above_minor": 99}, "confirm_above is 99"),
        (PayCodeIssued, 0, {"debit_account": "shop"}, "its payment debits [('alice'"),
        (PayCodeIssued, 0, {"expires_at": "2026-11-23T09:00:01Z"}, "it is over before it is"),
        (PaymentConfirmed, 0, {"amounts": [19]}, "booked (19,) of (20,) held"),
        (PaymentCanceled, 0, {"released": [39]}, "released (39,), should be (40,)"),
        (PaymentPending, 0, {"expires_at": "2026-11-23T09:00:00Z"}, "until before it waits"),
        (DeviceRegistered, 0, {"per_payment_max_minor": 69}, "it is above its maximum"),
        (DeviceRegistered, 0, {"offline_total_max_minor": 129}, "it is above its total"),
        (DeviceOnline, 0, {"offline_spent_minor": 0}, "it had spent 130 offline"),
    ],
)
def test_what_an_event_cannot_say_is_named(
    good: Store, kind: type[LedgerEvent], number: int, change: dict[str, Any], named: str
) -> None:
    alter(good, SHOWING.position_of(kind, number), **change)
    report = checked(good)
    assert any(named in each for each in report.differences), report.differences


def test_a_use_at_the_deadline_or_of_a_step_out_of_time_is_named(good: Store) -> None:
    used = SHOWING.events[SHOWING.position_of(PayCodeUsed) - 1]
    at = used.timestamp.isoformat().replace("+00:00", "Z")
    alter(good, SHOWING.position_of(PayCodeIssued), expires_at=at)
    differences = checked(good).differences
    assert any("used at or after its deadline" in each for each in differences)
    offline = SHOWING.events[SHOWING.position_of(PayCodeUsed, -2) - 1]
    assert isinstance(offline, PayCodeUsed)
    assert offline.step
    alter(good, SHOWING.position_of(PayCodeUsed, -2), step=offline.step - 1)
    assert any("is spent twice" in each for each in checked(good).differences)
    alter(good, SHOWING.position_of(PayCodeUsed, -2), step=offline.step + 2)
    assert any("is used at step" in each for each in checked(good).differences)


def test_what_expires_before_its_time_is_named(good: Store) -> None:
    later = SHOWING.now + timedelta(days=1)
    alter(good, SHOWING.position_of(PayCodeIssued, 1), expires_at=later.isoformat())
    assert any("expires before its deadline" in each for each in checked(good).differences)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE payments_pay_codes_g1 SET payment = NULL WHERE max_amount = 500", "not so"),
        ("DELETE FROM payments_pay_codes_g1 WHERE ended_position IS NULL", "missing"),
        ("UPDATE payments_devices_g1 SET handle = '7777777' WHERE handle = '0000000'", "not so"),
        ("DELETE FROM payments_devices_history_g1 WHERE offline_spent = 130", "missing"),
        (
            "UPDATE payments_carriers_g1 SET amount = amount + 1 WHERE carrier = 'qr'",
            "payments_carriers 2026-11-23 qr EUR: amount 101, should be 100",
        ),
        ("DELETE FROM payments_carriers_g1 WHERE carrier = 'qr'", "qr EUR: missing"),
        ("UPDATE payments_g1 SET state = 'held' WHERE state = 'declined'", "state held"),
    ],
)
def test_a_row_that_is_not_so_is_named(good: Store, statement: str, named: str) -> None:
    alter_rows(good, statement)
    report = checked(good)
    assert any(named in each for each in report.differences), report.differences
