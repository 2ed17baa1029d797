from collections.abc import Sequence
from typing import Any, cast

import pytest

from projections.balances.fold import Balance, Known, fold, needed
from projections.feed import Record
from tests.fixtures.fix_events import History


def test_an_opened_account_starts_at_zero_with_its_overdraft_available() -> None:
    history = History().open("alice", overdraft_limit=50)
    folded = fold(history.records(), {})
    assert folded.opened == [("alice", "EUR", "credit", 1)]
    assert folded.history == [("alice", Balance(1, 1, 0, 0, 0, 50))]
    assert folded.current == {"alice": Balance(1, 1, 0, 0, 0, 50)}


def test_each_entry_is_a_row_of_history_and_the_last_one_is_current() -> None:
    history = History().open("alice", "bob")
    history.pay(("alice", "bob", 30))
    history.pay(("bob", "alice", 10))
    folded = fold(history.records(after=4), {})
    assert folded.opened == []
    assert folded.history == [
        ("alice", Balance(6, 2, -30, 0, 0, None)),
        ("bob", Balance(7, 2, 30, 0, 0, None)),
        ("bob", Balance(9, 3, 20, 0, 0, None)),
        ("alice", Balance(10, 3, -20, 0, 0, None)),
    ]
    assert folded.current == {
        "alice": Balance(10, 3, -20, 0, 0, None),
        "bob": Balance(9, 3, 20, 0, 0, None),
    }


@pytest.mark.parametrize(
    ("side", "pending", "available"),
    [("credit", (7, 5), 93 + 20), ("debit", (7, 5), 95 + 20)],
)
def test_a_new_overdraft_limit_makes_available_anew_from_the_side_that_lowers(
    side: str, pending: tuple[int, int], available: int
) -> None:
    history = History().open("alice", normal_side=side, overdraft_limit=0)
    changed = history.change("alice", overdraft_limit=20).records(after=2)
    known = {"alice": Known(side, Balance(1, 1, 100, *pending, 0))}
    assert fold(changed, known).current == {"alice": Balance(3, 2, 100, *pending, available)}


def test_an_unlimited_overdraft_leaves_nothing_to_say_of_available() -> None:
    history = History().open("alice", overdraft_limit=0).change("alice", overdraft_limit=None)
    assert fold(history.records(), {}).current["alice"].available is None


def test_events_that_tell_no_balance_carry_the_one_before_them() -> None:
    history = History().open("alice", "bob", overdraft_limit=0)
    history.change("alice", metadata={"a": "b"}).freeze("alice").unfreeze("alice").close("alice")
    folded = fold(history.records(after=4), {"alice": Known("credit", Balance(1, 1, 0, 0, 0, 0))})
    assert [balance for _, balance in folded.history] == [
        Balance(position, version, 0, 0, 0, 0) for version, position in enumerate((5, 7, 9, 11), 2)
    ]


def test_only_events_that_tell_no_balance_need_what_was_before() -> None:
    history = History().open("alice", "bob", "carol")
    history.pay(("alice", "bob", 30))
    assert needed(history.records()) == set()
    assert needed(history.freeze("carol").records()) == {"carol"}


def test_an_account_that_was_never_opened_is_a_lookup_error() -> None:
    history = History().open("alice").freeze("alice")
    with pytest.raises(LookupError):
        fold(history.records(after=2), {})


def test_an_event_that_it_does_not_know_is_never_passed_over(unknown: Record) -> None:
    with pytest.raises(TypeError, match="unknown to balances"):
        fold(cast(Sequence[Any], [unknown]), {})
