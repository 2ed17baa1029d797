from datetime import date

import pytest

from projections.feed import Record
from projections.statements.fold import Folded, Sums, Totals, fold, needed
from tests.fixtures.fix_events import History

TODAY, YESTERDAY = date(2026, 11, 23), date(2026, 11, 22)
ZERO = Totals(0, 0, 0, 0)


def totals_after(folded: Folded) -> dict[str, Totals]:
    """By account, those of its last entry."""
    return {
        entry.account: Totals(entry.debits, entry.credits, entry.off_debits, entry.off_credits)
        for entry in folded.entries
    }


def test_an_entry_carries_the_balance_and_all_debits_and_credits_up_to_it() -> None:
    history = History().open("alice", "bob")
    payment = history.pay(("alice", "bob", 30), reference="order-17")
    history.pay(("alice", "bob", 5))
    folded = fold(history.records(), {}, {})
    first = folded.entries[0]
    assert first == (
        *("alice", 6, history.now, TODAY, payment, "debit", 30, -30, "bob", "order-17"),
        *(30, 0, 0, 0),
    )
    assert totals_after(folded) == {"alice": Totals(35, 0, 0, 0), "bob": Totals(0, 35, 0, 0)}
    assert folded.off == []


def test_totals_go_on_from_the_batch_before() -> None:
    history = History().open("alice", "bob")
    history.pay(("alice", "bob", 30))
    before = {"alice": Totals(100, 7, 0, 0), "bob": ZERO}
    folded = fold(history.records(after=4), before, {})
    assert totals_after(folded)["alice"] == Totals(130, 7, 0, 0)


def test_entries_valued_on_another_day_are_summed_by_day() -> None:
    history = History().open("alice", "bob")
    history.pay(("alice", "bob", 30), value_date=YESTERDAY)
    history.pay(("bob", "alice", 10), value_date=YESTERDAY)
    known = {("alice", YESTERDAY): Sums(1, 2)}
    folded = fold(history.records(), {}, known)
    assert folded.off == [
        (("alice", YESTERDAY), 6, Sums(31, 2)),
        (("bob", YESTERDAY), 7, Sums(0, 30)),
        (("bob", YESTERDAY), 9, Sums(10, 30)),
        (("alice", YESTERDAY), 10, Sums(31, 12)),
    ]
    assert totals_after(folded)["alice"] == Totals(30, 10, 30, 10)


def test_where_the_first_entry_of_each_day_stands_is_kept() -> None:
    history = History().open("alice", "bob")
    history.pay(("alice", "bob", 1))
    history.later(days=1).pay(("alice", "bob", 1))
    assert fold(history.records(), {}, {}).first_positions == {
        TODAY: 6,
        date(2026, 11, 24): 9,
    }


def test_only_entries_need_what_was_before() -> None:
    history = History().open("alice", "bob").change("bob", max_balance=9).unfreeze("bob")
    history.close("bob")
    assert needed(history.records()) == (set(), set())
    assert fold(history.records(), {}, {}).entries == []
    history = History().open("alice", "bob")
    history.pay(("alice", "bob", 1))
    history.pay(("alice", "bob", 1), value_date=YESTERDAY)
    assert needed(history.records()) == (
        {"alice", "bob"},
        {("alice", YESTERDAY), ("bob", YESTERDAY)},
    )


def test_a_capture_is_an_entry_and_nothing_else_of_a_hold_is() -> None:
    history = History().open("alice", "bob")
    payment = history.hold(("alice", "bob", 30))
    history.capture(payment, 12)
    history.later(days=1).refund(payment)
    history.void(history.hold(("alice", "bob", 5)))
    entries = fold(history.records(), {}, {}).entries
    assert [(each.account, each.position, each.side, each.amount_minor) for each in entries] == [
        ("alice", 9, "debit", 12),
        ("bob", 10, "credit", 12),
        ("bob", 15, "debit", 12),
        ("alice", 16, "credit", 12),
    ]
    assert [each.balance for each in entries] == [-12, 12, 0, 0]


def test_an_entry_of_an_account_never_opened_is_a_lookup_error() -> None:
    history = History().open("alice", "bob")
    history.pay(("alice", "bob", 1))
    with pytest.raises(LookupError):
        fold(history.records(after=4), {}, {})


def test_an_event_that_it_does_not_know_is_never_passed_over(unknown: Record) -> None:
    with pytest.raises(TypeError, match="unknown to statements"):
        fold([unknown], {}, {})
