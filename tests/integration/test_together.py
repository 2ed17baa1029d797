"""Payments that are made all or not at all, and commands that are only tried."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from application.answers import Answer
from application.batch import BulkRefused
from application.commands import (
    CancelPayment,
    CapturePayment,
    ChangeAccount,
    Command,
    MakePayment,
    RefundPayment,
    VoidPayment,
)
from application.ledger import Ledger
from domain.refusals import AmountOfSeveralPostings
from tests.fixtures.fix_ledger import command, commit, payment
from tests.fixtures.fix_steps import (
    Clock,
    account,
    answer,
    answers,
    balances,
    end,
    hold,
    of,
    step,
    together,
)


def test_payments_that_go_together_are_decided_each_on_those_before_it(ledger: Ledger) -> None:
    lines = payment("1", ("alice", "bob", 100)), payment("2", ("bob", "alice", 100))
    before, both, after = answers(
        ledger,
        payment("0", ("cash", "alice", 1)),
        together(*lines),
        payment("3", ("alice", "bob", 101)),
    )
    assert [balances(line, "alice")[0] for line in both.lines] == [1, 101]
    assert [line.position for line in both.lines] == [before.position + 3, before.position + 6]
    assert both.position == before.position + 6
    assert after.refusal is None
    assert answer(ledger, lines[1]).replayed


def test_one_line_refused_leaves_the_batch_as_it_was(ledger: Ledger, rival: Ledger) -> None:
    lines = (
        payment("1", ("alice", "bob", 60)),
        hold("2", 40),
        payment("3", ("alice", "bob", 1)),
        payment("4", ("cash", "alice", 1)),
    )
    before, refused, after = commit(
        ledger,
        payment("0", ("alice", "bob", 10)),
        together(*lines[:1], *lines),
        payment("5", ("alice", "bob", 90)),
    )
    assert isinstance(refused, BulkRefused)
    assert refused.members["line"] == 2
    assert refused.refusal.code == "insufficient_funds"
    assert isinstance(before, Answer)
    assert isinstance(after, Answer)
    assert (before.refusal, after.refusal) == (None, None)
    assert after.position == before.position + 3 == end(ledger)
    # Nothing was recorded of the lines: their keys are free.
    commit(rival, payment("6", ("cash", "alice", 101)))
    assert not any(line.replayed for line in answer(rival, together(*lines)).lines)


def test_a_defect_in_one_line_leaves_the_batch_as_it_was(ledger: Ledger) -> None:
    broken = payment("2", ("alice", "bob", 1), up_to=(1, 2))  # not by posting
    since = end(ledger)
    (defect,) = commit(ledger, together(payment("1", ("alice", "bob", 1)), broken))
    assert isinstance(defect, ValueError)
    assert end(ledger) == since


def test_lines_known_as_settled_count_as_such_and_known_as_refused_refuse(
    ledger: Ledger, rival: Ledger
) -> None:
    settled, refused = payment("1", ("alice", "bob", 60)), payment("2", ("alice", "bob", 60))
    commit(ledger, settled, refused)
    both = answer(rival, together(settled, payment("3", ("alice", "bob", 40))))
    assert [line.replayed for line in both.lines] == [True, False]
    commit(ledger, payment("4", ("cash", "alice", 100)))
    (none,) = commit(rival, together(payment("5", ("alice", "bob", 1)), refused))
    assert isinstance(none, BulkRefused)
    assert none.refusal.code == "insufficient_funds"
    (reused,) = commit(
        rival, together(payment("5", ("alice", "bob", 1)), payment("1", ("a", "b", 1)))
    )
    assert isinstance(reused, BulkRefused)
    assert (reused.members, reused.refusal.code) == ({"line": 1}, "idempotency_key_reused")
    assert answer(ledger, payment("5", ("alice", "bob", 1))).replayed is False


def test_a_line_refused_before_names_its_payment_of_the_same_batch_or_an_earlier_one(
    ledger: Ledger,
) -> None:
    refused = payment("dear", ("alice", "bob", 101))
    (fresh,) = commit(ledger, together(refused))
    _, same_batch = commit(ledger, refused, together(refused))
    (later_batch,) = commit(ledger, together(refused))
    bulks = fresh, same_batch, later_batch
    told = [bulk.refusal for bulk in bulks if isinstance(bulk, BulkRefused)]
    assert [refusal.code for refusal in told] == ["insufficient_funds"] * 3
    named = [refusal.members.get("payment_id") for refusal in told]
    assert named == [None, str(of("dear")), str(of("dear"))]


def test_a_twin_in_the_same_lines_is_a_replay(ledger: Ledger) -> None:
    one = payment("1", ("alice", "bob", 60))
    both = answer(ledger, together(one, one))
    assert [line.replayed for line in both.lines] == [False, True]
    assert account(ledger, "alice").posted == 40


# Dry runs ---------------------------------------------------------------------------------


def test_a_dry_run_answers_as_the_command_would_and_records_nothing(
    ledger: Ledger, clock: Clock
) -> None:
    at = clock.now + timedelta(days=1)
    commit(ledger, hold("h", 30), payment("p", ("alice", "bob", 10)))
    commit(ledger, payment("s", ("alice", "bob", 1), execute_at=at))
    commands: list[tuple[type[Command], dict[str, Any]]] = [
        (MakePayment, {"order": payment("n", ("alice", "bob", 60)).order}),
        (MakePayment, {"order": payment("n", ("alice", "bob", 61)).order}),
        (CapturePayment, {"payment": of("h"), "amount_minor": 10}),
        (VoidPayment, {"payment": of("h")}),
        (RefundPayment, {"payment": of("p")}),
        (CancelPayment, {"payment": of("s")}),
        (ChangeAccount, {"account": "alice", "changes": {"max_balance": 7}}),
    ]
    for number, (kind, members) in enumerate(commands):
        since = end(ledger)
        before = account(ledger, "alice")
        told = answer(ledger, command(kind, "key", **members, dry_run=True))
        assert end(ledger) == since
        assert account(ledger, "alice") == before
        # In one batch too, it leaves nothing to those after it.
        dry, real = answers(
            ledger,
            command(kind, "key", **members, dry_run=True),
            command(kind, f"key-{number}", **members),
        )
        assert dry == told
        assert real.position == told.position
        assert real.body.get("balances") == told.body.get("balances")
        assert (real.refusal is None) is (told.refusal is None)


def test_a_dry_run_of_payments_that_go_together_records_none(ledger: Ledger) -> None:
    since = end(ledger)
    lines = payment("1", ("alice", "bob", 100)), payment("2", ("bob", "alice", 100))
    dry, after = answers(ledger, together(*lines, dry_run=True), payment("3", ("alice", "bob", 1)))
    assert [balances(line, "alice")[0] for line in dry.lines] == [0, 100]
    assert end(ledger) == after.position == since + 3


def test_what_is_no_decision_uses_up_no_key(ledger: Ledger) -> None:
    two = ("alice", "bob", 1), ("alice", "cash", 1)
    commit(ledger, payment("h", *two, mode="hold"))
    since = end(ledger)
    (refused,) = commit(ledger, step(CapturePayment, "c", "h", amount_minor=1))
    assert isinstance(refused, AmountOfSeveralPostings)
    assert end(ledger) == since
    assert answer(ledger, step(CapturePayment, "c", "h")).body["state"] == "settled"
