from datetime import date

import pytest

from domain.events import Posting
from projections.feed import Record
from projections.payments.fold import fold
from tests.fixtures.fix_events import START, History


def test_a_settled_payment_is_there_from_its_last_entry_on() -> None:
    history = History().open("alice", "bob", "carol")
    payment = history.pay(
        ("alice", "bob", 30), ("bob", "carol", 10), reference="order-17", metadata={"table": "4"}
    )
    (made,) = fold(history.records())
    assert made == (
        *(7, payment, 11, "settled", "settle", "api", "order-17", date(2026, 11, 23), START),
        (Posting("alice", "bob", 30, "EUR"), Posting("bob", "carol", 10, "EUR")),
        {"table": "4"},
        None,
    )
    assert fold(history.records())[0].accounts == {"alice", "bob", "carol"}


def test_a_refused_payment_is_one_event_with_its_refusal() -> None:
    history = History().open("alice", "bob", overdraft_limit=0)
    history.pay(("alice", "bob", 30), value_date=date(2026, 12, 24))
    (made,) = fold(history.records())
    assert (made.created_position, made.position, made.state) == (5, 5, "refused")
    assert made.refusal == {"code": "insufficient_funds", "account": "alice", "index": 0}
    assert made.value_date == date(2026, 12, 24)


def test_events_of_accounts_make_no_payment() -> None:
    history = History().open("alice").change("alice", max_balance=1)
    history.freeze("alice").unfreeze("alice").close("alice")
    assert fold(history.records()) == []


def test_an_event_that_it_does_not_know_is_never_passed_over(unknown: Record) -> None:
    with pytest.raises(TypeError, match="unknown to payments"):
        fold([unknown])
