"""An account's life: opened, changed, frozen, closed."""

from collections.abc import Callable
from typing import Any

import pytest
from eventsourcing.domain import OriginatorVersionError

from domain.account import Account
from domain.events import (
    AccountChanged,
    AccountClosed,
    AccountFrozen,
    AccountOpened,
    AccountUnfrozen,
)
from domain.refusals import AccountClosed as AccountIsClosed
from domain.refusals import AccountNotEmpty
from tests.unit.domain.given import ACTOR, COMMAND, NOW, account, order, when

WHO = {"command": COMMAND, "actor": ACTOR, "now": NOW}


def test_an_account_opens_with_its_terms_and_nothing_posted() -> None:
    opened = account("alice", currency="JPY", overdraft_limit=5, max_balance=9, metadata={"a": "b"})
    assert (opened.currency, opened.overdraft_limit, opened.max_balance) == ("JPY", 5, 9)
    assert (opened.status, opened.posted, opened.version) == ("open", 0, 1)
    assert opened.metadata == {"a": "b"}


def test_only_what_changes_is_in_the_event() -> None:
    alice = account("alice", overdraft_limit=5)
    alice.change({"overdraft_limit": 5, "max_balance": 70}, **WHO)
    (changed,) = alice.collect()
    assert isinstance(changed, AccountChanged)
    assert changed.changed == {"max_balance": 70}
    assert alice.max_balance == 70


def test_a_change_that_changes_nothing_makes_no_event() -> None:
    alice = account("alice", overdraft_limit=5)
    alice.change({"overdraft_limit": 5}, **WHO)
    assert alice.collect() == []


def test_freezing_and_unfreezing_are_events_and_what_is_so_already_is_none() -> None:
    alice = account("alice")
    alice.unfreeze("why", **WHO)
    alice.freeze("fraud", **WHO)
    alice.freeze("again", **WHO)
    assert alice.status == "frozen"
    alice.unfreeze("cleared", **WHO)
    assert alice.status == "open"
    events = alice.collect()
    assert [type(event) for event in events] == [AccountFrozen, AccountUnfrozen]
    assert [event.reason for event in events] == ["fraud", "cleared"]


def test_an_empty_account_closes_once_frozen_or_not() -> None:
    alice = account("alice", status="frozen")
    alice.close("moved away", **WHO)
    alice.close("again", **WHO)
    assert alice.status == "closed"
    assert [type(event) for event in alice.collect()] == [AccountClosed]


@pytest.mark.parametrize("balance", ["posted", "pending_debit", "pending_credit"])
def test_an_account_with_money_or_holds_does_not_close(balance: str) -> None:
    alice = account("alice")
    setattr(alice, balance, 1)
    with pytest.raises(AccountNotEmpty):
        alice.close("moved away", **WHO)
    assert alice.collect() == []


@pytest.mark.parametrize(
    "command",
    [
        lambda one: one.freeze("why", **WHO),
        lambda one: one.unfreeze("why", **WHO),
        lambda one: one.change({"max_balance": 1}, **WHO),
    ],
    ids=["freeze", "unfreeze", "change"],
)
def test_a_closed_account_refuses_everything_but_close(
    command: Callable[[Account], None],
) -> None:
    with pytest.raises(AccountIsClosed) as refused:
        command(account("alice", status="closed"))
    assert refused.value.members == {"account": "alice"}


def test_a_copy_shares_nothing_that_changes() -> None:
    alice = account("alice", 100)
    copy = alice.copied()
    when([copy, account("bob")], order(("alice", "bob", 30)))
    assert (alice.posted, alice.version) == (100, 1)
    assert (copy.posted, copy.version) == (70, 2)
    assert alice.pending_events == []


def test_a_stream_that_opens_an_account_again_is_none() -> None:
    terms: dict[str, Any] = {
        "account": "alice",
        "currency": "EUR",
        "normal_side": "credit",
        "overdraft_limit": 0,
        "max_balance": None,
        "metadata": {},
    }
    (again,) = Account.open(stream=COMMAND, **terms, **WHO).collect()
    with pytest.raises(OriginatorVersionError):
        again.mutate(Account.open(stream=COMMAND, **terms, **WHO))


def test_replaying_the_events_gives_the_same_account() -> None:
    live = Account.open(
        stream=COMMAND,
        account="alice",
        currency="EUR",
        normal_side="credit",
        overdraft_limit=10,
        max_balance=None,
        metadata={},
        **WHO,
    )
    events = live.collect()
    events += when([live, account("bob")], order(("alice", "bob", 7)))[1:2]
    live.change({"metadata": {"k": "v"}}, **WHO)
    live.freeze("why", **WHO)
    live.unfreeze("why", **WHO)
    events += live.collect()
    replayed: Account | None = None
    for event in events:
        replayed = event.mutate(replayed)
    assert isinstance(events[0], AccountOpened)
    assert replayed == live
