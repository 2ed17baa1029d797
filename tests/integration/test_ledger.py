"""The whole life of a payment on a real store: decided by one ledger, gone on with by another."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import pytest
from eventsourcing.persistence import OperationalError

from application import ledger as ledgers
from application.commands import (
    CancelPayment,
    CapturePayment,
    ChangeAccount,
    ExecutePayment,
    ExpirePayment,
    RefundPayment,
    VoidPayment,
)
from application.ledger import Ledger
from application.snapshots import stored_state
from domain.account import Account
from domain.ids import account_stream
from domain.leaving import total
from domain.refusals import NotFound, NothingDue
from tests.fixtures.fix_ledger import a_ledger, a_writer, command, commit, payment
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_steps import (
    NOON,
    Clock,
    account,
    answer,
    answers,
    balances,
    due,
    end,
    every_command,
    hold,
    of,
    step,
)


def test_a_hold_and_its_captures_are_decided_in_one_batch(ledger: Ledger) -> None:
    held, part, too_much, rest, late = answers(
        ledger,
        hold("h", 60),
        step(CapturePayment, "c1", "h", amount_minor=20, final=False),
        step(CapturePayment, "c2", "h", amount_minor=41),
        step(CapturePayment, "c3", "h"),
        step(VoidPayment, "v", "h"),
    )
    assert (held.body["state"], balances(held, "alice")) == ("held", (100, 60, 0, 40))
    assert (part.body["state"], balances(part, "alice")) == ("held", (80, 40, 0, 40))
    assert too_much.refusal == {"code": "capture_exceeds_hold", "payment_id": str(of("h"))}
    assert (rest.body["state"], balances(rest, "bob")) == ("settled", (60, 0, 0, 60))
    assert late.refusal == {"code": "payment_not_held", "payment_id": str(of("h"))}
    assert late.position == end(ledger)
    assert rest.body["postings"][0]["captured"] == 60


def test_another_ledger_goes_on_with_a_payment_that_it_has_not_cached(
    ledger: Ledger, rival: Ledger
) -> None:
    commit(ledger, hold("h", 60))
    part = answer(rival, step(CapturePayment, "c1", "h", amount_minor=20, final=False))
    assert balances(part, "alice") == (80, 40, 0, 40)
    refund = step(RefundPayment, "r", "h")
    rest, back = answers(ledger, step(CapturePayment, "c2", "h", amount_minor=10), refund)
    assert rest.body["postings"][0]["captured"] == 30
    assert (back.body["refund_of"], balances(back, "alice")) == (str(of("h")), (100, 0, 0, 100))
    again = answer(rival, step(RefundPayment, "r2", "h", amount_minor=1))
    assert again.refusal == {"code": "refund_exceeds_payment", "payment_id": str(of("r2"))}


def test_a_payment_that_is_not_there_or_is_something_else_is_not_found(ledger: Ledger) -> None:
    account_id = account_stream("main", "alice")
    for kind in (CapturePayment, VoidPayment, CancelPayment, RefundPayment):
        nothing, other = commit(
            ledger,
            step(kind, "k", "no such payment"),
            command(kind, "k2", payment=account_id),
        )
        assert isinstance(nothing, NotFound)
        assert isinstance(other, NotFound)
    assert not ledger.store.fetch([], [], [account_id]).of_streams, "it may have a million events"


def test_retrying_any_command_on_another_ledger_gives_the_first_answer(
    ledger: Ledger, rival: Ledger, clock: Clock
) -> None:
    commands = every_command(clock)
    first = answers(ledger, *commands[:9]) + answers(ledger, *commands[9:])
    codes = {one.refusal["code"] for one in first if one.refusal}
    assert len(codes) == 5
    clock.later(days=2)
    commit(ledger, due(ExecutePayment, "s2"), payment("more", ("cash", "alice", 50)))
    since = end(ledger)
    again = answers(rival, *commands) + answers(ledger, *reversed(commands))[::-1]
    assert again == [one._replace(replayed=True) for one in first] * 2
    assert end(rival) == since


def test_a_capture_whose_answer_was_lost_is_found_by_its_key(ledger: Ledger) -> None:
    commit(ledger, hold("h", 60))
    insert = ledger.store.insert_events
    lost = []

    def answer_lost(*args: Any, **kwargs: Any) -> Any:
        inserted = insert(*args, **kwargs)
        if not lost:
            lost.append(inserted)
            raise OperationalError("the line was cut after the commit")
        return inserted

    ledger.store.insert_events = answer_lost  # type: ignore[method-assign]
    capture = step(CapturePayment, "c", "h", amount_minor=20, final=False)
    with a_writer(ledger) as writer:
        told = writer.submit(capture).result(timeout=10)
        twin = writer.submit(capture).result(timeout=10)
    assert lost
    assert not told.replayed
    assert balances(told, "alice") == (80, 40, 0, 40)
    assert twin == told._replace(replayed=True)
    assert account(ledger, "alice").pending_at(NOON) == (40, 0)


def test_a_hold_that_expired_is_free_whether_recorded_or_not(
    ledger: Ledger, rival: Ledger, clock: Clock
) -> None:
    commit(ledger, hold("h", 60, hold_timeout_s=10))
    clock.later(seconds=9.999999)
    assert isinstance(commit(rival, due(ExpirePayment, "h"))[0], NothingDue)
    assert answer(rival, payment("p1", ("alice", "bob", 41))).refusal
    clock.later(seconds=0.000001)
    assert answer(rival, payment("p2", ("alice", "bob", 100))).refusal is None
    since = end(ledger)
    expired = answer(ledger, due(ExpirePayment, "h"))
    assert (expired.body["state"], balances(expired, "alice")) == ("expired", (0, 0, 0, 0))
    assert end(ledger) == since + 3
    nothing = commit(rival, due(ExpirePayment, "h"))
    assert isinstance(nothing[0], NothingDue)
    assert end(rival) == since + 3


def test_what_is_scheduled_is_executed_once_at_its_time(
    ledger: Ledger, rival: Ledger, clock: Clock
) -> None:
    at = clock.now + timedelta(days=1)
    told = answer(ledger, payment("s", ("alice", "bob", 60), execute_at=at))
    assert (told.body["state"], told.body["balances"]) == ("scheduled", [])
    assert isinstance(commit(rival, due(ExecutePayment, "s"))[0], NothingDue)
    clock.later(days=1)
    once = answer(rival, due(ExecutePayment, "s"))
    assert (once.body["state"], balances(once, "alice")) == ("settled", (40, 0, 0, 40))
    assert isinstance(commit(ledger, due(ExecutePayment, "s"))[0], NothingDue)
    late = answer(ledger, step(CancelPayment, "x", "s"))
    assert late.refusal == {"code": "payment_not_cancelable", "payment_id": str(of("s"))}


def test_recorded_time_decides_where_the_clock_has_stepped_back(
    ledger: Ledger, clock: Clock
) -> None:
    commit(ledger, hold("h", 60, hold_timeout_s=10))
    clock.later(seconds=10)
    commit(ledger, payment("tick", ("cash", "bob", 1)))
    clock.later(seconds=-10)
    late = answer(ledger, step(CapturePayment, "c", "h"))
    assert late.refusal == {"code": "hold_expired", "payment_id": str(of("h"))}


# Snapshots and caches ---------------------------------------------------------------------


def test_snapshots_with_holds_and_limits_are_what_a_replay_gives(
    fresh_store: Store, ledger: Ledger, clock: Clock
) -> None:
    limits = [
        {"window": "day", "carrier": None, "max_count": 9, "max_amount": 500},
        {"window": "month", "carrier": "qr", "max_count": None, "max_amount": 70},
    ]
    commit(ledger, command(ChangeAccount, "l", account="alice", changes={"limits": limits}))
    commit(ledger, hold("h1", 30, hold_timeout_s=10), hold("h2", 20, carrier="qr"))
    clock.later(seconds=10)
    commit(ledger, step(CapturePayment, "c", "h2", amount_minor=5, final=False))
    commit(ledger, payment("p", ("alice", "bob", 5), carrier="qr"))
    for name in ("alice", "bob", "cash"):
        stream = account_stream("main", name)
        ledger._snapshots.take(stream)
        snapshot = ledger._snapshots._store.load_snapshot(stream)
        assert snapshot is not None
        assert not ledger._snapshots.differs(snapshot)
        (loaded,) = ledger._snapshots.aggregates([snapshot], []).values()
        assert (
            stored_state(cast(Account, loaded))
            == stored_state(account(ledger, name))
            == snapshot.state
        )
        assert ledger._snapshots.differs(
            snapshot._replace(state=snapshot.state.replace(b"EUR", b"USD"))
        )
    alice = account(ledger, "alice")
    assert [hold.left for hold in alice.holds] == [15]
    assert [total(meter.leaving) for meter in alice.meters] == [(2, 25), (2, 25)]
    with a_ledger(fresh_store, clock=clock) as restarted:
        # Of 9 payments 2 count, and of 500 there are 25; of 70 by qr, 25.
        assert answer(restarted, payment("q1", ("alice", "bob", 46), carrier="qr")).refusal
        assert answer(restarted, payment("q2", ("alice", "bob", 45), carrier="qr")).refusal is None


def test_far_behind_a_ledger_decides_on_what_there_is_and_not_on_what_it_had(
    ledger: Ledger, rival: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's LRUCache keeps after `clear` what it held."""
    monkeypatch.setattr(ledgers, "MAX_CATCH_UP_EVENTS", 2)
    commit(ledger, hold("h", 30))
    commit(rival, step(VoidPayment, "v", "h"), payment("theirs", ("alice", "bob", 90)))
    late, poor, all_of_it = answers(
        ledger,
        step(CapturePayment, "c", "h"),
        payment("mine", ("alice", "bob", 11)),
        payment("rest", ("alice", "bob", 10)),
    )
    assert late.refusal == {"code": "payment_not_held", "payment_id": str(of("h"))}
    assert poor.refusal is not None
    assert all_of_it.refusal is None
    assert account(ledger, "alice").posted == 0
