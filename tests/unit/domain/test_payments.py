"""What a payment does and what refuses it, rule by rule in the documented precedence."""

from datetime import timedelta
from uuid import UUID

import pytest

from domain.events import (
    AccountCredited,
    AccountDebited,
    Condition,
    PaymentRefused,
    PaymentSettled,
    Posting,
)
from domain.limits import Limit, Meter
from domain.order import PaymentOrder
from domain.refusals import REFUSED, ValueDateOutOfRange
from tests.fixtures.fix_events import History
from tests.unit.domain.given import NOW, TODAY, account, order, refusal_of, when
from tests.unit.domain.test_codes import PRECEDENCE as CODES
from tests.unit.domain.test_payment_requests import REQUESTS


def test_a_payment_is_its_own_event_then_one_on_each_account_posting_by_posting() -> None:
    alice, bob, carol = account("alice", 100), account("bob"), account("carol")
    events = when([alice, bob, carol], order(("alice", "bob", 30), ("bob", "carol", 10)))
    assert [type(event) for event in events] == [
        PaymentSettled,
        AccountDebited,
        AccountCredited,
        AccountDebited,
        AccountCredited,
    ]
    assert [event.account for event in events[1:]] == ["alice", "bob", "bob", "carol"]
    assert [event.index for event in events[1:]] == [0, 0, 1, 1]
    assert [event.posted for event in events[1:]] == [70, 30, 20, 10]
    assert {event.command for event in events} == {events[0].originator_id}
    assert (alice.posted, bob.posted, carol.posted) == (70, 20, 10)


def test_a_refused_payment_is_one_event_and_changes_no_account() -> None:
    alice, bob = account("alice", 100), account("bob")
    events = when([alice, bob], order(("alice", "bob", 60), ("alice", "bob", 60)))
    assert [type(event) for event in events] == [PaymentRefused]
    assert refusal_of(events) == {"code": "insufficient_funds", "account": "alice", "index": 1}
    assert (alice.posted, bob.posted) == (100, 0)
    assert (alice.version, bob.version) == (1, 1)


def test_a_debit_lowers_a_credit_normal_account_and_raises_a_debit_normal_one() -> None:
    cash = account("cash", normal_side="debit", overdraft_limit=None)
    alice = account("alice")
    events = when([cash, alice], order(("cash", "alice", 500)))
    assert (cash.posted, alice.posted) == (500, 500)
    assert [event.available for event in events[1:]] == [None, 500]


def test_a_credit_lowers_a_debit_normal_account() -> None:
    cash = account("cash", 40, normal_side="debit")
    assert refusal_of(when([cash, account("a", 9)], order(("a", "cash", 9)))) is None
    assert cash.posted == 31
    refused = when([cash, account("b", 99)], order(("b", "cash", 32)))
    assert refusal_of(refused) == {"code": "insufficient_funds", "account": "cash", "index": 0}


@pytest.mark.parametrize(("amount", "settles"), [(150, True), (151, False)])
def test_an_overdraft_may_be_used_to_the_last_cent(amount: int, settles: bool) -> None:
    alice = account("alice", 100, overdraft_limit=50)
    refusal = refusal_of(when([alice, account("bob")], order(("alice", "bob", amount))))
    assert (refusal is None) is settles


def test_money_coming_in_is_welcome_also_below_a_lowered_overdraft_limit() -> None:
    alice = account("alice", -80, overdraft_limit=50)
    assert refusal_of(when([account("bob", 10), alice], order(("bob", "alice", 10)))) is None


@pytest.mark.parametrize(("amount", "settles"), [(40, True), (41, False)])
def test_a_maximum_balance_may_be_filled_to_the_last_cent(amount: int, settles: bool) -> None:
    bob = account("bob", 60, max_balance=100)
    refusal = refusal_of(when([account("alice", 99), bob], order(("alice", "bob", amount))))
    assert refusal == (
        None if settles else {"code": "max_balance_exceeded", "account": "bob", "index": 0}
    )


def test_pending_counts_against_what_is_available_and_what_may_come() -> None:
    alice = account("alice", 100)
    assert alice.available(alice.posted, (30, 0)) == 70
    cash = account("cash", 100, normal_side="debit", max_balance=150)
    assert cash.available(cash.posted, (30, 20)) == 80
    assert cash.headroom(cash.posted, (30, 20)) == 20


def test_money_that_only_passes_through_needs_no_balance_of_its_own() -> None:
    events = when(
        [account("alice", 50), account("till"), account("bob")],
        order(("alice", "till", 50), ("till", "bob", 50)),
    )
    assert refusal_of(events) is None


def test_a_posting_is_decided_as_if_the_ones_before_it_had_been_made() -> None:
    refused = when(
        [account("alice", 50), account("till"), account("bob")],
        order(("till", "bob", 50), ("alice", "till", 50)),
    )
    assert refusal_of(refused) == {"code": "insufficient_funds", "account": "till", "index": 0}


@pytest.mark.parametrize(
    ("posted", "side"), [(2**63 - 5, "credit"), (-(2**63) + 5, "debit")], ids=["high", "low"]
)
def test_a_balance_stays_in_the_signed_64_bit_range(posted: int, side: str) -> None:
    full = account("full", posted, normal_side=side, overdraft_limit=None)
    refused = when([account("alice", overdraft_limit=None), full], order(("alice", "full", 6)))
    assert refusal_of(refused) == {"code": "balance_overflow", "account": "full", "index": 0}


def test_several_currencies_move_in_one_payment_through_the_operators_accounts() -> None:
    accounts = [
        account("alice", 1000),
        account("fx:eur"),
        account("fx:usd", currency="USD", overdraft_limit=None),
        account("bob", currency="USD"),
    ]
    exchange = order(Posting("alice", "fx:eur", 1000, "EUR"), Posting("fx:usd", "bob", 1080, "USD"))
    assert refusal_of(when(accounts, exchange)) is None


def test_the_value_date_is_the_one_given_or_the_day_it_is_booked() -> None:
    both = [account("alice", 100), account("bob")]
    given = when(both, order(("alice", "bob", 1), value_date=TODAY - timedelta(days=3)))
    default = when(both, order(("alice", "bob", 1)), number=2)
    assert {entry.value_date for entry in given[1:]} == {TODAY - timedelta(days=3)}
    assert {entry.value_date for entry in default[1:]} == {TODAY}
    assert default[0].value_date is None


@pytest.mark.parametrize("days", [-366, 366])
def test_a_value_date_may_be_a_year_away(days: int) -> None:
    wanted = order(("alice", "bob", 1), value_date=TODAY + timedelta(days=days))
    assert refusal_of(when([account("alice", 1), account("bob")], wanted)) is None


@pytest.mark.parametrize("days", [-367, 367])
def test_a_value_date_further_off_is_refused_and_not_recorded(days: int) -> None:
    wanted = order(("alice", "bob", 1), value_date=TODAY + timedelta(days=days))
    with pytest.raises(ValueDateOutOfRange):
        when([account("alice", 1), account("bob")], wanted)


# What is refused first, where all of these would apply. Each row breaks its own rule and all
# later ones: the code is that of the first.
NOT_SO = {"conditions": (Condition("poor", "posted", "eq", "2"),)}
PRECEDENCE = [
    ("same_account", order(("closed", "closed", 9), **NOT_SO)),
    ("same_account", order(("nobody", "bob", 9), ("bob", "bob", 9))),
    ("account_unknown", order(("nobody", "closed", 9), **NOT_SO)),
    ("account_unknown", order(("poor", "nobody", 9), ("closed", "frozen", 9))),
    ("account_closed", order(("closed", "nobody", 9), **NOT_SO)),
    ("account_closed", order(("closed", "frozen", 9))),
    ("account_frozen", order(("frozen", "closed", 9), **NOT_SO)),
    ("account_frozen", order(("frozen", "dollars", 9))),
    ("currency_mismatch", order(("dollars", "frozen", 9), **NOT_SO)),
    ("currency_mismatch", order(("poor", "full", 9), ("poor", "dollars", 9))),
    ("condition_failed", order(("poor", "full", 9), **NOT_SO)),
    ("condition_failed", order(("empty", "full", 0), up_to=(9,), **NOT_SO)),
    ("nothing_available", order(("empty", "full", 0), ("poor", "full", 9), up_to=(9, 0))),
    ("insufficient_funds", order(("poor", "full", 9), ("empty", "full", 0), up_to=(0, 9))),
    ("insufficient_funds", order(("poor", "full", 9))),
    ("max_balance_exceeded", order(("rich", "full", 9), ("poor", "rich", 9))),
    ("max_balance_exceeded", order(("rich", "brimming", 9))),
    ("balance_overflow", order(("rich", "endless", 9), ("poor", "rich", 9))),
    ("balance_overflow", order(("metered", "endless", 9))),
    ("limit_exceeded", order(("metered", "bob", 9))),
]


@pytest.mark.parametrize("mode", ["settle", "hold"])
@pytest.mark.parametrize(("code", "wanted"), PRECEDENCE)
def test_the_first_rule_in_the_documented_order_decides(
    code: str, wanted: PaymentOrder, mode: str
) -> None:
    metered = account("metered", 100)
    metered.meters = (Meter(Limit("hour", None, 0, None)),)
    accounts = [
        metered,
        account("bob", 100),
        account("poor", 1),
        account("empty", overdraft_limit=0),
        account("rich", 100),
        account("full", 10, max_balance=10),
        account("brimming", 2**63 - 1, max_balance=10),
        account("endless", 2**63 - 1),
        account("closed", status="closed"),
        account("frozen", status="frozen", currency="USD"),
        account("dollars", currency="USD"),
    ]
    events = when(accounts, wanted._replace(mode=mode))
    assert refusal_of(events)["code"] == code
    assert len(events) == 1


def a_late_town() -> tuple[History, dict[str, UUID]]:
    """Payments in every state, whose accounts are frozen by now."""
    town = History().open("cash", normal_side="debit").open("a", "b", overdraft_limit=0)
    town.pay(("cash", "a", 100))
    at = town.now + timedelta(seconds=10)
    made = {
        "settled": town.pay(("a", "b", 5)),
        "held": town.hold(("a", "b", 5)),
        "expired": town.hold(("a", "b", 5), hold_timeout_s=10),
        "expired in part": town.hold(("a", "b", 5), hold_timeout_s=10),
        "due": town.pay(("a", "b", 5), execute_at=at),
    }
    town.capture(made["expired in part"], 2, final=False)
    made["refund"] = town.refund(town.pay(("a", "b", 5)))
    town.pay(("b", "cash", 5))  # what a refund would need
    town.freeze("a").freeze("b").now = at
    return town, made


# The same of the steps of a payment there is: its own state, deadline and amount come before
# what its accounts refuse.
STEPS = [
    ("payment_not_held", "settled", "capture", 6),
    ("payment_not_held", "due", "void", 0),
    ("hold_expired", "expired", "capture", 6),
    ("hold_expired", "expired", "void", 0),
    ("hold_expired", "expired in part", "capture", 6),
    ("capture_exceeds_hold", "held", "capture", 6),
    ("account_frozen", "held", "capture", 5),
    ("payment_not_refundable", "held", "refund", 6),
    ("payment_not_refundable", "refund", "refund", 6),
    ("refund_exceeds_payment", "settled", "refund", 6),
    ("refund_exceeds_payment", "expired in part", "refund", 3),
    ("account_frozen", "settled", "refund", 5),
    ("payment_not_cancelable", "due", "cancel", 0),
]


@pytest.mark.parametrize(("code", "of", "step", "amount"), STEPS)
def test_a_payments_own_state_deadline_and_amount_come_before_its_accounts(
    code: str, of: str, step: str, amount: int
) -> None:
    town, made = a_late_town()
    amounts = [amount] if amount else []
    if step == "refund":  # a payment of its own
        town.refund(made[of], *amounts)
        assert town.events[-1].refusal["code"] == code
    else:
        with pytest.raises(REFUSED[code]):
            getattr(town, step)(made[of], *amounts)


def test_every_recorded_refusal_stands_in_the_precedence_tables() -> None:
    told = {code for code, *_ in (*REQUESTS, *CODES, *PRECEDENCE, *STEPS)}
    of_devices_and_confirmations = {"device_revoked", "payment_not_pending"}  # test_codes.py
    assert told | of_devices_and_confirmations == set(REFUSED)


def test_a_copy_of_a_payment_shares_nothing_that_changes() -> None:
    town, made = a_late_town()
    payment = town.payments[made["held"]]
    copy = payment.copied()
    town.void(payment.id)
    assert (copy.state, copy.version, copy.pending_events) == ("held", 1, [])
    assert (payment.state, payment.version) == ("voided", 2)


def test_the_accounts_of_a_payment_are_those_that_it_moves_money_of() -> None:
    town, made = a_late_town()
    assert town.payments[made["held"]].accounts == {"a", "b"}
    assert order(("a", "b", 1), ("b", "cash", 1)).accounts == {"a", "b", "cash"}


def test_recorded_time_is_the_time_it_was_decided() -> None:
    events = when([account("alice", 1), account("bob")], order(("alice", "bob", 1)))
    assert {event.timestamp for event in events} == {NOW}
