"""The whole life of a payment on a real store: decided by one ledger, gone on with by another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest
from eventsourcing.persistence import OperationalError

from application import ledger as ledgers
from application.answers import Answer
from application.batch import BulkRefused
from application.commands import (
    CancelPayment,
    CapturePayment,
    ChangeAccount,
    Command,
    ExecutePayment,
    ExpirePayment,
    MakePayment,
    PayTogether,
    RefundPayment,
    VoidPayment,
)
from application.ledger import Ledger
from application.snapshots import state_of
from domain.account import Account
from domain.ids import account_stream, command_stream, due_command
from domain.refusals import AmountOfSeveralPostings, NotFound, NothingDue
from tests.fixtures.fix_ledger import a_ledger, a_writer, command, commit, opened, payment
from tests.fixtures.fix_postgres import Store

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def later(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(fresh_store: Store, clock: Clock) -> Iterator[Ledger]:
    with a_ledger(fresh_store, clock=clock) as made:
        commit(
            made,
            opened("cash", "cash", normal_side="debit", overdraft_limit=None),
            opened("alice", "alice"),
            opened("bob", "bob"),
            payment("salary", ("cash", "alice", 100)),
        )
        yield made


@pytest.fixture
def rival(fresh_store: Store, clock: Clock, ledger: Ledger) -> Iterator[Ledger]:
    """Another on the same store, which has nothing cached."""
    with a_ledger(fresh_store, clock=clock) as made:
        yield made


def of(key: str) -> UUID:
    """The payment that was made under the key."""
    return command_stream("main", "shop", key)


def hold(key: str, amount: int, **terms: Any) -> MakePayment:
    return payment(key, ("alice", "bob", amount), mode="hold", **terms)


def step(kind: type[Command], key: str, name: str, **members: Any) -> Command:
    """A step, under a key, of the payment that was made under that name."""
    made: Command = command(kind, key, payment=of(name), **members)
    return made


def due(kind: type[ExpirePayment] | type[ExecutePayment], name: str) -> Command:
    """The ledger's own step of that payment."""
    verb = "expire" if kind is ExpirePayment else "execute"
    like = step(kind, name, name)
    return kind(id=due_command(of(name), verb), fingerprint=b"", actor=like.actor, payment=of(name))


def together(*payments: MakePayment, dry_run: bool = False) -> PayTogether:
    made: PayTogether = command(PayTogether, "together", payments=payments, dry_run=dry_run)
    return made


def answers(ledger: Ledger, *commands: Command) -> list[Answer]:
    """None of them may be an error."""
    told = commit(ledger, *commands)
    assert all(isinstance(one, Answer) for one in told), told
    return [one for one in told if isinstance(one, Answer)]


def answer(ledger: Ledger, one: Command) -> Answer:
    return answers(ledger, one)[0]


def balances(told: Answer, name: str) -> Any:
    """Posted, pending debit, pending credit, available."""
    (found,) = [one for one in told.body["balances"] if one["account"] == name]
    return tuple(
        found[member] for member in ("posted", "pending_debit", "pending_credit", "available")
    )


def end(ledger: Ledger) -> int:
    return ledger.store.fetch([], [], []).end


def account(ledger: Ledger, name: str) -> Account:
    """Replayed from the store, without the cache."""
    replayed: Account = ledger.repository.get(account_stream("main", name))
    return replayed


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


def every_command(clock: Clock) -> Sequence[Command]:
    """Each is the first with its key; the later ones change what the earlier ones were about."""
    at = clock.now + timedelta(days=1)
    limit = {"window": "day", "carrier": "qr", "max_count": 1, "max_amount": None}
    return (
        command(ChangeAccount, "limits", account="alice", changes={"limits": [limit]}),
        hold("h1", 30),
        step(CapturePayment, "c1", "h1", amount_minor=10, final=False),
        step(CapturePayment, "c2", "h1", amount_minor=25),
        step(CapturePayment, "c3", "h1", amount_minor=5),
        step(RefundPayment, "r1", "h1", amount_minor=6),
        step(RefundPayment, "r2", "h1", amount_minor=10),
        step(RefundPayment, "r3", "h1"),
        hold("h2", 30),
        step(VoidPayment, "v1", "h2"),
        step(VoidPayment, "v2", "h2"),
        payment("s1", ("alice", "bob", 5), execute_at=at),
        payment("s2", ("alice", "bob", 5), execute_at=at),
        step(CancelPayment, "x1", "s1"),
        step(CancelPayment, "x2", "s1"),
        payment("all", ("alice", "bob", 0), up_to=(2**53 - 1,)),
        payment("poor", ("alice", "bob", 1)),
    )


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


# Together ---------------------------------------------------------------------------------


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
    broken = payment("2", ("alice", "bob", 1))
    object.__setattr__(broken.order, "up_to", (1, 2))  # not by posting
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
        assert state_of(cast(Account, loaded)) == state_of(account(ledger, name)) == snapshot.state
        assert ledger._snapshots.differs(
            snapshot._replace(state=snapshot.state.replace(b"EUR", b"USD"))
        )
    alice = account(ledger, "alice")
    assert [hold.left for hold in alice.holds] == [15]
    assert [len(meter.entries) for meter in alice.meters] == [2, 2]
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
