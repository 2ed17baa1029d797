"""Conditions, and amounts that are to be found: both are decided with the payment."""

from __future__ import annotations

from typing import Any

import pytest

from domain.events import Condition
from domain.money import MAX_AMOUNT_MINOR
from tests.unit.domain.given import account, order, refusal_of, when

OPERATORS = {
    "eq": (False, True, False),
    "gt": (False, False, True),
    "gte": (False, True, True),
    "lt": (True, False, False),
    "lte": (True, True, False),
}
"""Whether it is so of 99, 100 and 101, compared to 100."""


def refused(*conditions: Condition, posted: int = 100, **terms: Any) -> Any:
    """What a payment of somebody else is refused for."""
    looked_at = account("alice", posted, **terms)
    wanted = order(("cash", "bob", 1), conditions=conditions)
    cash = account("cash", normal_side="debit", overdraft_limit=None)
    return refusal_of(when([looked_at, cash, account("bob")], wanted))


@pytest.mark.parametrize("balance", ["posted", "available"])
@pytest.mark.parametrize(("op", "so"), OPERATORS.items())
def test_a_condition_compares_a_balance(balance: str, op: str, so: tuple[bool, ...]) -> None:
    held = 7 if balance == "available" else 0
    for told, holds in zip((99, 100, 101), so, strict=True):
        looked_at = account("alice", told + held)
        looked_at.pending_debit = held
        wanted = order(("cash", "bob", 1), conditions=(Condition("alice", balance, op, "100"),))
        cash = account("cash", normal_side="debit", overdraft_limit=None)
        refusal = refusal_of(when([looked_at, cash, account("bob")], wanted))
        assert (refusal is None) is holds


def test_available_counts_the_overdraft() -> None:
    assert refused(Condition("alice", "available", "eq", "130"), overdraft_limit=30) is None


@pytest.mark.parametrize("op", OPERATORS)
def test_what_is_unlimited_is_more_than_any_integer(op: str) -> None:
    refusal = refused(Condition("alice", "available", op, "9" * 40), overdraft_limit=None)
    assert (refusal is None) is (op in ("gt", "gte"))


def test_any_integer_will_do() -> None:
    assert refused(Condition("alice", "posted", "gt", "-" + "9" * 40)) is None
    assert refused(Condition("alice", "posted", "lt", "9" * 40)) is None


def test_a_condition_on_the_version_is_so_of_that_version_alone() -> None:
    assert refused(Condition("alice", "version", "eq", "1")) is None
    assert refused(Condition("alice", "version", "eq", "2")) == {
        "code": "condition_failed",
        "account": "alice",
        "index": 0,
    }


def test_the_first_that_is_not_so_is_named_and_nothing_is_so_of_nobody() -> None:
    so, nobody = Condition("alice", "posted", "eq", "100"), Condition("nobody", "posted", "lt", "1")
    assert refused(so, so, nobody, nobody) == {
        "code": "condition_failed",
        "account": "nobody",
        "index": 2,
    }


def test_conditions_are_decided_on_what_was_before_the_payment() -> None:
    both = [account("alice", 100), account("bob")]
    conditions = (
        Condition("alice", "version", "eq", "1"),
        Condition("alice", "posted", "eq", "100"),
    )
    assert refusal_of(when(both, order(("alice", "bob", 100), conditions=conditions))) is None


# Amounts to be found ----------------------------------------------------------------------


def found(accounts: list[Any], *postings: tuple[str, str, int], up_to: Any, **terms: Any) -> Any:
    """The amounts of the payment, or what it is refused for."""
    events = when(accounts, order(*postings, up_to=up_to, **terms))
    return refusal_of(events) or tuple(posting.amount_minor for posting in events[0].postings)


@pytest.mark.parametrize("mode", ["settle", "hold"])
@pytest.mark.parametrize(("up_to", "amount"), [(1, 1), (70, 70), (71, 70), (2**62, 70)])
def test_all_is_what_the_account_has_without_its_overdraft_nor_what_is_held(
    up_to: int, amount: int, mode: str
) -> None:
    alice = account("alice", 100, overdraft_limit=50)
    alice.pending_debit = 30
    accounts = [alice, account("bob")]
    assert found(accounts, ("alice", "bob", 0), up_to=(up_to,), mode=mode) == (amount,)


def test_of_a_debit_normal_account_all_is_what_a_credit_can_take() -> None:
    accounts = [account("fees"), account("cash", 40, normal_side="debit")]
    accounts[0].posted = 100
    assert found(accounts, ("fees", "cash", 0), up_to=(2**62,)) == (40,)


@pytest.mark.parametrize("posted", [0, -20])
def test_nothing_to_be_found_is_a_refusal(posted: int) -> None:
    accounts = [account("alice", posted, overdraft_limit=50), account("bob")]
    nothing = {"code": "nothing_available", "account": "alice", "index": 0}
    assert found(accounts, ("alice", "bob", 0), up_to=(9,)) == nothing


def test_where_no_account_is_lowered_there_is_nothing_to_be_found() -> None:
    accounts = [account("cash", normal_side="debit"), account("alice")]
    nothing = {"code": "nothing_available", "account": "cash", "index": 0}
    assert found(accounts, ("cash", "alice", 0), up_to=(9,)) == nothing


def test_it_is_found_as_if_the_postings_before_had_been_made() -> None:
    accounts = [account("alice", 100), account("till"), account("bob")]
    refused = found(accounts, ("till", "bob", 0), ("alice", "till", 5), up_to=(9, 0))
    assert refused == {"code": "nothing_available", "account": "till", "index": 0}
    postings = [("alice", "bob", 30), ("alice", "till", 0), ("till", "bob", 0)]
    assert found(accounts, *postings, up_to=(0, 2**62, 50)) == (30, 70, 50)


def test_what_a_posting_has_taken_the_next_does_not_find() -> None:
    accounts = [account("alice", 9), account("bob")]
    emptied = {"code": "nothing_available", "account": "alice", "index": 1}
    assert found(accounts, ("alice", "bob", 0), ("alice", "bob", 0), up_to=(9, 9)) == emptied


def test_what_is_found_may_still_be_refused() -> None:
    accounts = [account("alice", 100), account("full", 95, max_balance=100)]
    assert found(accounts, ("alice", "full", 0), up_to=(2**62,))["code"] == "max_balance_exceeded"
    assert found(accounts, ("alice", "full", 0), up_to=(5,)) == (5,)


def test_no_more_is_found_than_one_posting_may_move() -> None:
    accounts = [account("alice", 2**60), account("bob")]
    assert found(accounts, ("alice", "bob", 0), up_to=(2**62,)) == (MAX_AMOUNT_MINOR,)
