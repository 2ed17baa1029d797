"""`reconcile` proves the whole life of payments: holds, captures, refunds, what is due."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from domain.events import (
    AccountChanged,
    AccountCredited,
    AccountDebited,
    AccountHeld,
    AccountReleased,
    CommandDecided,
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
)
from tests.fixtures.fix_events import History
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_projections import catch_up
from tests.fixtures.fix_reconcile import (
    alter,
    alter_rows,
    assert_each_member_is_proven,
    checked,
    owner,
)

LIMIT = {"window": "day", "carrier": None, "max_count": None, "max_amount": 50_000}


def lively() -> History:
    """All that a payment can go through, twice where it can end in two ways."""
    history = History().open("alice", "bob", overdraft_limit=0).open("cash", normal_side="debit")
    paid = history.pay(("cash", "alice", 1000), ("alice", "bob", 20), reference="order-1")
    history.change("alice", limits=[LIMIT])
    in_parts = history.hold(("alice", "bob", 300), hold_timeout_s=3600, carrier="qr")
    history.capture(in_parts, 100, final=False).capture(in_parts, 150)
    history.later(seconds=1)
    whole = history.hold(("alice", "bob", 30), ("bob", "cash", 10))
    history.capture(whole)
    history.void(history.hold(("alice", "bob", 200)))
    half = history.hold(("alice", "bob", 60))
    history.capture(half, 50, final=False).void(half)
    late = history.hold(("alice", "bob", 400), hold_timeout_s=60)
    later = history.hold(("bob", "cash", 40), hold_timeout_s=60)
    history.capture(later, 15, final=False).later(seconds=60)
    history.pay(("alice", "bob", 500))
    history.expire(late).expire(later)
    history.refund(in_parts, 70)
    history.refund(in_parts)
    history.refund(paid)
    history.refund(paid)
    at = history.now + timedelta(hours=1)
    due = [
        history.pay(("alice", "bob", 5), execute_at=at, reference="rent"),
        history.pay(("alice", "bob", 0), execute_at=at, up_to=(25,)),
        history.pay(("bob", "alice", 100_000), execute_at=at),
    ]
    history.cancel(history.pay(("alice", "bob", 7), execute_at=at))
    history.later(days=1)
    for payment in due:
        history.execute(payment)
    history.hold(("alice", "bob", 3), hold_timeout_s=60)
    history.later(seconds=90).hold(("alice", "bob", 4))
    history.pay(("alice", "bob", 1), execute_at=history.now + timedelta(days=1))
    return history.change("bob", overdraft_limit=9)


LIVELY = lively()


@pytest.fixture
def good(fresh_store: Store) -> Store:
    lively().store(fresh_store.app_dsn)
    catch_up(fresh_store.app_dsn, batch=7)
    return fresh_store


def test_a_good_ledger_has_no_differences(good: Store) -> None:
    report = checked(good)
    assert report.differences == []
    assert report.payments == 19
    assert report.sums == {"EUR": 0}


def test_a_hold_captured_in_part_is_refunded_from_its_deadline_on_recorded_or_not(
    fresh_store: Store,
) -> None:
    history = History().open("alice", "bob")

    def differences() -> list[str]:
        history.store(fresh_store.app_dsn)
        catch_up(fresh_store.app_dsn)
        return checked(fresh_store).differences

    held = history.hold(("alice", "bob", 10), hold_timeout_s=60)
    history.capture(held, 4, final=False).later(seconds=60)
    history.refund(held, 1)
    assert differences() == []
    history.expire(held).refund(held)
    assert differences() == []
    later = "2026-11-23T09:01:00.000001Z"
    alter(fresh_store, history.position_of(PaymentHeld), expires_at=later)
    named = "tally.payment.refunded.v1 of a payment that is held"
    assert any(named in each for each in differences())


UNPROVEN: dict[type[LedgerEvent], tuple[str, ...]] = {
    PaymentScheduled: ("actor", "conditions"),
    PaymentRefused: ("actor",),
}
"""What nothing else in the ledger tells: who caused an event that is its command's only one, and
what was asked of accounts. Fingerprints neither: the requests are not kept."""

ALTERED: dict[str, Any] = {
    "account": "carol",
    "account_after": {"status": "frozen"},
    "actor": ["thief", "key-1", "request-1"],
    "carrier": "nfc",
    "counter_account": "carol",
    "currency": "USD",
    "execute_at": "2036-11-23T09:00:00Z",
    "expires_at": "2036-11-23T09:00:00Z",
    "hold_expires_at": "2036-11-23T09:00:00Z",
    "metadata": {"a": "b"},
    "mode": "another",
    "name": "cancel_payment",
    "outcome": "refused",
    "postings": [["alice", "bob", 12345, "EUR"]],
    "reason": "captured",
    "reference": "order-2",
    "refusal": {"code": "account_unknown"},
    "side": "credit",
    "value_date": "2026-01-02",
    **dict.fromkeys(("command", "payment", "refund", "refund_of"), "0" * 32),
    **{name: [12345] for name in ("amounts", "released", "up_to")},
    **dict.fromkeys(("amount_minor", "available", "hold_left", "index"), 12345),
    **dict.fromkeys(("posted", "pending_debit", "pending_credit"), 12345),
}
"""By member: a value that none of those events has."""


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        (AccountHeld, 0),
        (AccountReleased, 2),
        (AccountReleased, -2),
        (AccountDebited, 2),
        (AccountCredited, 2),
        (PaymentHeld, 0),
        (PaymentCaptured, 0),
        (PaymentCaptured, 1),
        (PaymentVoided, 0),
        (PaymentExpired, 0),
        (PaymentRefunded, 0),
        (PaymentCanceled, 0),
        (PaymentSettled, -1),
        (PaymentScheduled, 0),
        (PaymentRefused, -1),
        (CommandDecided, 5),
    ],
)
def test_any_altered_member_is_found(good: Store, kind: type[LedgerEvent], number: int) -> None:
    position = LIVELY.position_of(kind, number)
    unproven = UNPROVEN.get(kind, ())
    assert_each_member_is_proven(good, LIVELY, position, altered=ALTERED, unproven=unproven)


@pytest.mark.parametrize(
    ("kind", "number", "change", "named"),
    [
        (
            AccountHeld,
            0,
            {"pending_debit": 1},
            "pending_debit, pending_credit (980, 1, 0) of alice",
        ),
        (AccountHeld, 0, {"amount_minor": 299}, "amount_minor 299, its command"),
        (AccountReleased, 0, {"amount_minor": 49}, "it releases 49 of a hold with 50 left"),
        (PaymentCaptured, 1, {"amounts": [250]}, "captured (250,) of (200,) held"),
        (PaymentCaptured, 1, {"released": [0]}, "released (0,), should be (50,)"),
        (PaymentVoided, 0, {"released": [1]}, "released (1,), should be (200,)"),
        (PaymentExpired, 0, {"released": [1]}, "released (1,), should be (400,)"),
        (PaymentRefunded, 1, {"amounts": [181]}, "refunded (181,) of (180,) left"),
        (PaymentRefunded, 0, {"amounts": [1, 2]}, "amounts are not of each posting"),
        (PaymentHeld, 0, {"expires_at": "2026-11-23T09:00:00Z"}, "until before it is held"),
        (PaymentScheduled, 0, {"execute_at": "2036-11-23T09:00:00Z"}, "before its time"),
        (AccountChanged, 0, {"changed": {"limits": []}}, "accounts alice: limits"),
    ],
)
def test_what_an_event_cannot_say_is_named(
    good: Store, kind: type[LedgerEvent], number: int, change: dict[str, Any], named: str
) -> None:
    alter(good, LIVELY.position_of(kind, number), **change)
    report = checked(good)
    assert any(named in each for each in report.differences), report.differences


def test_steps_at_the_wrong_time_are_named(good: Store) -> None:
    """The deadline is the event's own: what was captured came before it, what expired after."""
    held = "2026-11-23T09:00:00Z"
    expires = [at for at, event in enumerate(LIVELY.events, 1) if isinstance(event, PaymentHeld)]
    alter(good, expires[0], expires_at="2026-11-23T09:00:00.000000Z")
    differences = checked(good).differences
    assert any("tally.payment.captured.v1 at or after its deadline" in each for each in differences)
    alter(good, expires[0], expires_at=held)
    alter(good, LIVELY.position_of(PaymentHeld, 4), expires_at="2036-11-23T09:00:00Z")
    assert any("it expires before its deadline" in each for each in checked(good).differences)


@pytest.mark.parametrize(
    ("cut", "named"),
    [
        (AccountReleased, "lacks 1 events"),
        (PaymentRefunded, "lacks 1 events"),
        (CommandDecided, "lacks 1 events"),
    ],
)
def test_what_a_command_lacks_is_named(
    fresh_store: Store, cut: type[LedgerEvent], named: str
) -> None:
    history = History().open("alice", "bob")
    if cut is PaymentRefunded:
        history.refund(history.pay(("alice", "bob", 5)))
    elif cut is CommandDecided:
        history.void(history.hold(("alice", "bob", 5)))
    else:
        held = history.hold(("alice", "bob", 5), hold_timeout_s=60)
        history.later(seconds=60).expire(held)
    assert isinstance(history.events[-1], cut)
    history.store(fresh_store.app_dsn)
    with owner(fresh_store) as connection:
        connection.execute("DELETE FROM tally.events WHERE position = %s", (history.end,))
    assert any(named in each for each in checked(fresh_store).differences)


def test_a_step_that_no_command_took_is_named(good: Store) -> None:
    """Its stream is no payment's, or the payment had ended."""
    with owner(good) as connection:
        connection.execute(
            "UPDATE tally.events SET stream = gen_random_uuid() WHERE position = %s",
            (LIVELY.position_of(PaymentVoided),),
        )
    differences = checked(good).differences
    assert any(
        "tally.payment.voided.v1 of a payment that was never" in each for each in differences
    )
    assert any(
        "tally.account.released.v1 that nothing before it asks for" in each for each in differences
    )


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        (
            "UPDATE balances_g1 SET balanced_at = '2026-01-01Z' WHERE account = 'bob'",
            "balances bob: balanced_at 2026-01-01",
        ),
        (
            "UPDATE balances_g1 SET pending_credit = 9 WHERE account = 'bob'",
            "balances bob: pending_credit 9, should be 4",
        ),
        (
            "UPDATE balances_history_g1 SET balanced_at = '2026-01-01Z' WHERE position = 8",
            "balances_history cash at 8: balanced_at",
        ),
        (
            'UPDATE balances_holds_g1 SET "left" = 1 WHERE opened_position = {held}',
            'balances_holds alice at {held}: "left" 1, should be 0',
        ),
        (
            "UPDATE balances_holds_g1 SET expired = true WHERE opened_position = {held}",
            "balances_holds alice at {held}: expired True, should be False",
        ),
        (
            "DELETE FROM balances_holds_g1 WHERE opened_position = {held}",
            "balances_holds alice at {held}: missing",
        ),
        (
            "UPDATE balances_holds_history_g1 SET captured = 1 WHERE position = {held}",
            "balances_holds_history alice at {held}: captured 1, should be 0",
        ),
        (
            "INSERT INTO balances_holds_history_g1 VALUES ('bob', 1, 2, 3, 4)",
            "balances_holds_history bob at 2: should not be there",
        ),
        (
            "UPDATE payments_g1 SET captured = '[1]' WHERE created_position = {payment}",
            "captured (1,), should be (250,)",
        ),
        (
            "UPDATE payments_g1 SET refunded = '[1]' WHERE created_position = {payment}",
            "refunded (1,), should be (250,)",
        ),
        (
            "UPDATE payments_g1 SET expires_at = NULL WHERE created_position = {payment}",
            "expires_at None, should be 2026-11-23",
        ),
        (
            "UPDATE payments_g1 SET expired = false WHERE expired AND state = 'expired'",
            "expired False, should be True",
        ),
        (
            "UPDATE payments_g1 SET execute_at = NULL WHERE state = 'canceled'",
            "execute_at None, should be 2026-11-23",
        ),
        (
            "UPDATE payments_g1 SET refund_of = NULL WHERE created_position = {refund}",
            "refund_of None, should be",
        ),
        (
            "UPDATE payments_g1 SET position = 1 WHERE state = 'voided'",
            "position 1, should be",
        ),
        (
            "UPDATE payments_g1 SET state = 'held' WHERE state = 'expired'",
            "state held, should be expired",
        ),
        (
            "UPDATE accounts_g1 SET limits = '[]' WHERE account = 'alice'",
            "accounts alice: limits [], should be [{{'window': 'day'",
        ),
    ],
)
def test_an_altered_row_is_named(good: Store, statement: str, named: str) -> None:
    positions = {
        "held": LIVELY.position_of(AccountHeld),
        "payment": LIVELY.position_of(PaymentHeld),
        "refund": LIVELY.position_of(PaymentRefunded) - 3,
    }
    alter_rows(good, statement.format(**positions))
    differences = checked(good).differences
    assert len(differences) == 1
    assert named.format(**positions) in differences[0]
