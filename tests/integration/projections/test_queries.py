"""Accounts and balances as the contract shows them."""

from __future__ import annotations

import random
from typing import Any

from application.answers import account_resource
from domain.events import AccountEntry
from projections.accounts.queries import account, accounts
from projections.balances.queries import (
    balance,
    balances,
    totals,
    trial_balance,
    trial_balance_accounts,
)
from projections.reading import Page, View
from tests.fixtures.fix_events import START, History
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_projections import Counting, catch_up, viewing


def filled(store: Store, history: History) -> str:
    history.store(store.app_dsn)
    catch_up(store.app_dsn, batch=7)
    return store.app_dsn


# Accounts ---------------------------------------------------------------------------------


def test_an_account_is_shown_as_its_command_was_answered(fresh_store: Store) -> None:
    history = History().open("alice", "bob", overdraft_limit=5, metadata={"z": "1", "a": "2"})
    history.pay(("alice", "bob", 3))
    history.change("alice", max_balance=900, overdraft_limit=None, metadata={"b": "c"})
    history.freeze("bob")
    dsn = filled(fresh_store, history)
    alice = viewing(dsn, "accounts", lambda view: account(view, "alice"))
    bob = viewing(dsn, "accounts", lambda view: account(view, "bob"))
    assert alice == {**account_resource(history.accounts["alice"]), "position": 9}
    assert bob == {**account_resource(history.accounts["bob"]), "position": 11}
    assert viewing(dsn, "accounts", lambda view: account(view, "carol")) is None


def test_accounts_are_listed_by_bytes_and_filtered(fresh_store: Store) -> None:
    names = ["a", "A", "Z", "a:b", "a_b", "a-b", "a.b", "aXb", "b", "0"]
    history = History().open(*names).open("a:usd", currency="USD").freeze("a-b").close("a_b")
    dsn = filled(fresh_store, history)

    async def walk(view: View) -> list[Any]:
        found: list[Any] = []
        after = ""
        while True:
            page = await accounts(view, after=after, limit=3)
            found += [each["id"] for each in page.items]
            if page.next is None:
                return found
            (after,) = page.next

    def ids(**filters: Any) -> list[str]:
        page: Page = viewing(dsn, "accounts", lambda view: accounts(view, limit=500, **filters))
        assert page.next is None
        return [each["id"] for each in page.items]

    assert viewing(dsn, "accounts", walk) == sorted([*names, "a:usd"])
    assert ids(prefix="a_") == ["a_b"]
    assert ids(prefix="a") == sorted(name for name in [*names, "a:usd"] if name.startswith("a"))
    assert ids(status="frozen") == ["a-b"]
    assert ids(status="closed") == ["a_b"]
    assert ids(currency="USD") == ["a:usd"]
    assert ids(status="open", prefix="a:", currency="EUR") == ["a:b"]


# Balances ---------------------------------------------------------------------------------


def test_a_balance_as_of_every_position_is_what_its_events_say(fresh_store: Store) -> None:
    chance = random.Random(5)
    history = History().open("alice", overdraft_limit=0).open("cash", normal_side="debit")
    history.open("bob", overdraft_limit=50)
    for _ in range(20):
        history.pay((*chance.sample(["alice", "bob", "cash"], 2), chance.randint(1, 60)))  # type: ignore[arg-type]
    history.change("bob", overdraft_limit=None).freeze("bob")
    dsn = filled(fresh_store, history)

    async def walk(view: View) -> None:
        for at in range(history.end + 1):
            posted = version = 0
            for event in history.events[:at]:
                if getattr(event, "account", "") == "bob" and event.originator_id == (
                    history.accounts["bob"].id
                ):
                    version = event.originator_version
                    posted = event.posted if isinstance(event, AccountEntry) else posted
            opened, unlimited = at >= 5, at >= history.end - 3
            found = await balance(view, "bob", at=at, time=START)
            assert found == {
                "account": "bob",
                "currency": "EUR",
                "normal_side": "credit",
                "posted": posted,
                "pending_debit": 0,
                "pending_credit": 0,
                "available": None if unlimited else posted + 50 if opened else 0,
                "version": version,
                "position": at,
            }
            listed = await balances(view, prefix="bo", limit=5, at=at, time=START)
            assert listed.items == ([found] if opened else [])
        assert await balance(view, "bob", time=START) == found
        assert await balance(view, "carol", time=START) is None

    viewing(dsn, "balances", walk)


def test_balances_are_listed_summed_and_balanced(fresh_store: Store) -> None:
    history = History().open("customers:a", "customers:b", "shop")
    history.open("cash", normal_side="debit").open("usd", currency="USD")
    history.pay(("cash", "customers:a", 100), ("customers:a", "shop", 130))
    history.pay(("cash", "customers:b", 7))
    at = history.end
    history.pay(("shop", "customers:b", 1000))
    dsn = filled(fresh_store, history)

    async def look(view: View) -> None:
        page = await balances(view, prefix="customers:", limit=1, time=START)
        assert [(each["account"], each["posted"]) for each in page.items] == [("customers:a", -30)]
        assert page.next == ("customers:a",)
        (then,) = (
            await balances(view, prefix="customers:", after="customers:a", limit=1, time=START)
        ).items
        assert (then["account"], then["posted"]) == ("customers:b", 1007)
        found = await totals(view, prefix="c", at=at, time=START)
        assert found == {
            "items": [
                {
                    "currency": "EUR",
                    "normal_side": side,
                    "posted": posted,
                    "pending_debit": 0,
                    "pending_credit": 0,
                    "accounts": count,
                }
                for side, posted, count in (("credit", -23, 2), ("debit", 107, 1))
            ],
            "position": at,
        }
        assert await trial_balance(view, at=at) == {
            "position": at,
            "balanced": True,
            "currencies": [
                {"currency": "EUR", "total_debits": 137, "total_credits": 137},
                {"currency": "USD", "total_debits": 0, "total_credits": 0},
            ],
        }
        rows = await trial_balance_accounts(view, at=at, limit=2)
        assert rows.items == [
            {"account": "cash", "currency": "EUR", "debit": 107, "credit": 0},
            {"account": "customers:a", "currency": "EUR", "debit": 30, "credit": 0},
        ]
        assert rows.next == ("customers:a",)

    viewing(dsn, "balances", look)


def test_a_balance_as_of_any_position_is_an_index_probe(fresh_store: Store) -> None:
    history = History().open("hot", "bob")
    for _ in range(3000):
        history.pay(("hot", "bob", 1))
    dsn = fresh_store.app_dsn
    history.store(dsn)
    catch_up(dsn, ["balances"])

    async def look(view: View) -> int:
        counted: Any = Counting(view)
        await balance(counted, "hot", at=history.end // 2, time=START)
        return int(counted.touched)

    assert viewing(dsn, "balances", look) <= 2
