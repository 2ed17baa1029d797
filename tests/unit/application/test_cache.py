"""What is kept of accounts is what was given, however it is kept, and never more than asked for."""

from __future__ import annotations

from typing import Any

from application.cache import RecentAccounts
from domain.account import Account
from tests.fixtures.fix_events import History

NAMES = ("cash", "rich", "poor")


def a_town() -> History:
    limits: list[dict[str, Any]] = [
        {"window": "day", "carrier": None, "max_count": 9, "max_amount": 500},
        {"window": "month", "carrier": "qr", "max_count": None, "max_amount": 70},
    ]
    town = History().open("cash", normal_side="debit", overdraft_limit=None)
    town.open("rich", metadata={"Ω": "a\n"}).open("poor").change("poor", limits=limits)
    town.pay(("cash", "rich", 2**53 - 1))
    town.later(seconds=1).pay(("rich", "poor", 7))
    town.hold(("poor", "rich", 3))
    return town


def told(account: Account | None) -> dict[str, Any]:
    """All but what is of use while an account is decided on."""
    assert account is not None
    return {
        name: value
        for name, value in vars(account).items()
        if name not in ("_pending_events", "_modified_on")
    }


def test_an_account_that_was_not_used_for_a_while_comes_back_as_it_was() -> None:
    town = a_town()
    kept = RecentAccounts(8)  # one as it is, seven as bytes
    for name in NAMES:
        kept.keep(name, town.accounts[name].copied())
    for name in (*NAMES, *NAMES):
        found = kept.find(name)
        assert found is not town.accounts[name]
        assert told(found) == told(town.accounts[name])
        assert found is kept.find(name)


def test_it_decides_on_as_if_it_had_never_gone() -> None:
    there, back = a_town(), a_town()
    kept = RecentAccounts(8)
    for name in NAMES:
        kept.keep(name, back.accounts[name])
    for name in NAMES:
        found = kept.find(name)
        assert found is not None
        back.accounts[name] = found
    for town in (there, back):
        town.pay(("poor", "cash", 4))
    assert there.events == back.events


def test_what_was_kept_last_is_what_is_found() -> None:
    town = a_town()
    kept = RecentAccounts(8)
    for _ in range(3):
        town.pay(("rich", "poor", 1))
        for name in NAMES:
            kept.keep(name, town.accounts[name].copied())
    for name in NAMES:
        assert told(kept.find(name)) == told(town.accounts[name])


def test_no_more_are_kept_than_asked_for_and_those_used_last() -> None:
    names = [f"customers:{number}" for number in range(40)]
    town = History().open(*names)
    kept = RecentAccounts(16)
    for name in names:
        kept.keep(name, town.accounts[name])
        assert kept.find(names[0])
    assert [name for name in names if kept.find(name)] == [names[0], *names[-15:]]


def test_of_one_account_there_is_room_for_one() -> None:
    town = a_town()
    kept = RecentAccounts(1)
    for name in NAMES:
        kept.keep(name, town.accounts[name])
    assert [name for name in NAMES if kept.find(name)] == ["poor"]
