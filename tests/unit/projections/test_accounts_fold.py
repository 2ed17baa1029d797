from datetime import timedelta

import pytest

from projections.accounts.fold import Moved, fold
from projections.feed import Record
from tests.fixtures.fix_events import START, History


def test_an_opened_account_keeps_its_terms() -> None:
    history = History().open("alice", overdraft_limit=5, max_balance=900, metadata={"tier": "gold"})
    (opened,) = fold(history.records()).opened
    assert opened == ("alice", "EUR", "credit", START, 1, 5, 900, {"tier": "gold"})


def test_version_and_position_move_with_every_event_and_command_of_the_account() -> None:
    history = History().open("alice", "bob")
    history.pay(("alice", "bob", 30))
    folded = fold(history.records())
    assert folded.moved == {"alice": Moved(2, 6), "bob": Moved(2, 7)}
    assert folded.changed == []


def test_holds_move_the_account_and_steps_of_a_payment_do_not() -> None:
    history = History().open("alice", "bob")
    history.void(history.hold(("alice", "bob", 30)))
    assert fold(history.records()).moved == {"alice": Moved(3, 9), "bob": Moved(3, 10)}
    history.refund(history.pay(("alice", "bob", 30)))
    later = history.pay(("alice", "bob", 30), execute_at=history.now + timedelta(hours=1))
    history.cancel(later)
    assert fold(history.records()).moved == {"alice": Moved(5, 17), "bob": Moved(5, 16)}


def test_changes_come_in_order() -> None:
    history = History().open("alice").change("alice", max_balance=7, overdraft_limit=3)
    history.freeze("alice").unfreeze("alice").close("alice")
    folded = fold(history.records())
    assert folded.changed == [
        ("alice", {"max_balance": 7, "overdraft_limit": 3}),
        ("alice", {"status": "frozen"}),
        ("alice", {"status": "open"}),
        ("alice", {"status": "closed"}),
    ]
    assert folded.moved == {"alice": Moved(5, 10)}


def test_an_event_that_it_does_not_know_is_never_passed_over(unknown: Record) -> None:
    with pytest.raises(TypeError, match="unknown to accounts"):
        fold([unknown])


def test_an_account_shows_the_position_that_its_command_was_answered_with() -> None:
    history = History().open("alice")
    assert fold(history.records()).moved == {"alice": Moved(1, history.end)}
