"""Holds that expire and payments that are executed, by a real writer and a real read model."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from application.answers import Answer
from application.commands import CancelPayment, CapturePayment, FreezeAccount, UnfreezeAccount
from application.due import Due, Sweeper
from application.ports import StoreUnavailable
from application.writer import Writer
from domain.refusals import NothingDue
from infrastructure.due_payments import OVERDUE, DuePaymentsReadModel
from infrastructure.locks import SWEEPER_LOCK
from infrastructure.mapper import EventMapper
from projections.payments.queries import payment as read_payment
from tests.fixtures.fix_events import START, History
from tests.fixtures.fix_ledger import a_ledger, a_writer, clock, command, opened, payment
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_processes import System
from tests.fixtures.fix_projections import catch_up, viewing, workers
from tests.fixtures.fix_tally import until

WITHIN_S = 1.0
"""Of its time: the contract's, but for how slow the machine of a test is."""
PATIENCE_S = 30.0


@contextmanager
def found_in(store: Store) -> Iterator[DuePaymentsReadModel]:
    with closing(DuePaymentsReadModel(store.app_dsn, timeout_s=5)) as due:
        yield due


@contextmanager
def writing(store: Store, *, now: Callable[[], datetime] = clock) -> Iterator[Writer]:
    with a_ledger(store, clock=now) as ledger, a_writer(ledger) as writer:
        yield writer


@contextmanager
def sweeping(store: Store, writer: Writer) -> Iterator[Sweeper]:
    found = DuePaymentsReadModel(store.app_dsn, timeout_s=5)
    sweeper = Sweeper(found, writer.submit, clock=clock)
    sweeper.start()
    try:
        yield sweeper
    finally:
        sweeper.stop()


def decided(writer: Writer, *commands: Any) -> list[Answer]:
    answers = [writer.submit(each) for each in commands]
    return [each.result(timeout=PATIENCE_S) for each in answers]


def moments(store: Store, stream: UUID) -> list[tuple[str, datetime, str]]:
    """Type, recorded time and caller of each event of a payment."""
    mapper = EventMapper()
    with psycopg.connect(store.app_dsn) as connection:
        rows = connection.execute(
            "SELECT type, payload, stream, version, recorded_at FROM tally.events"
            " WHERE stream = %s ORDER BY version",
            (stream,),
        ).fetchall()
    events = [mapper.decode(*row) for row in rows]
    return [(event.TOPIC.split(".")[2], event.timestamp, event.actor.caller) for event in events]


def types(store: Store, stream: UUID) -> list[str]:
    return [each[0] for each in moments(store, stream)]


# What is found ----------------------------------------------------------------------------


def test_what_is_due_is_found_the_oldest_first_up_to_a_limit(fresh_store: Store) -> None:
    history = History().open("alice", "bob")

    def hold(seconds: int) -> Due:
        return Due(history.hold(("alice", "bob", 1), hold_timeout_s=seconds), "expire")

    def schedule(seconds: int) -> Due:
        at = START + timedelta(seconds=seconds)
        return Due(history.pay(("alice", "bob", 1), execute_at=at), "execute")

    def ask(seconds: int) -> Due:
        return Due(history.request("bob", expires_in_s=seconds), "expire_request")

    later, first, second, third = hold(300), hold(60), schedule(90), ask(120)
    history.pay(("alice", "bob", 1))
    done = [each.subject for each in (hold(10), hold(10), schedule(10), schedule(10), ask(10))]
    history.void(done[0]).capture(done[1]).cancel(done[2]).cancel_request(done[4])
    history.later(seconds=10).execute(done[3])
    history.store(fresh_store.app_dsn)
    with found_in(fresh_store) as due:
        assert due.due(START, 9) == [], "there is no read model yet"
        catch_up(fresh_store.app_dsn, ["payments"])
        at = START + timedelta(seconds=120)
        assert due.due(at - timedelta(microseconds=1), 9) == [first, second]
        assert due.due(at, 9) == [first, second, third]
        assert due.due(at, 2) == [first, second]
        assert due.due(START + timedelta(days=1), 9) == [first, second, third, later]


def test_of_two_that_look_the_one_sees_what_is_due_and_the_other_what_was_left(
    fresh_store: Store,
) -> None:
    history = History().open("alice", "bob")
    held = Due(history.hold(("alice", "bob", 1), hold_timeout_s=60), "expire")
    history.store(fresh_store.app_dsn)
    catch_up(fresh_store.app_dsn, ["payments"])
    at = START + timedelta(seconds=60)
    with found_in(fresh_store) as one, found_in(fresh_store) as other:
        assert one.due(at, 9) == [held]
        assert other.due(at, 9) == []
        assert other.due(at + OVERDUE, 9) == [held]
        assert one.due(at, 9) == [held]
        one.close()
        until(lambda: other.due(at, 9) == [held])
        assert one.due(at, 9) == []


def test_a_lost_connection_is_made_anew(fresh_store: Store) -> None:
    history = History().open("alice", "bob")
    held = Due(history.hold(("alice", "bob", 1), hold_timeout_s=60), "expire")
    history.store(fresh_store.app_dsn)
    catch_up(fresh_store.app_dsn, ["payments"])
    with found_in(fresh_store) as due, psycopg.connect(fresh_store.owner_dsn) as owner:
        assert due.due(START + timedelta(seconds=60), 9) == [held]
        owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'tally sweeper' AND datname = current_database()"
        )
        with pytest.raises(StoreUnavailable):
            due.due(START + timedelta(seconds=60), 9)
        until(lambda: due.due(START + timedelta(seconds=60), 9) == [held])


# What is done -----------------------------------------------------------------------------


def test_deadlines_and_times_are_met_within_a_second(fresh_store: Store) -> None:
    with (
        writing(fresh_store) as writer,
        workers(fresh_store.app_dsn, "payments"),
        sweeping(fresh_store, writer),
    ):
        decided(
            writer,
            opened("o1", "alice", overdraft_limit=50),
            opened("o2", "bob"),
            opened("o3", "cash", overdraft_limit=None),
            opened("o4", "shop"),
        )
        held = payment("k1", ("alice", "bob", 30), mode="hold", hold_timeout_s=1)
        part = payment("k2", ("cash", "bob", 30), mode="hold", hold_timeout_s=1)
        at = clock() + timedelta(seconds=1.2)
        executed = payment("k3", ("cash", "bob", 7), execute_at=at)
        refused = payment("k4", ("bob", "cash", 90_000), execute_at=at)
        found = payment("k5", ("bob", "shop", 0), execute_at=at, up_to=(500,))
        canceled = payment("k6", ("cash", "bob", 9), execute_at=at)
        made = decided(writer, held, part, executed, refused, found, canceled)
        assert [each.body["state"] for each in made] == ["held"] * 2 + ["scheduled"] * 4
        decided(
            writer,
            command(CapturePayment, "k7", payment=part.id, amount_minor=10, final=False),
            command(CancelPayment, "k8", payment=canceled.id),
        )
        waiting = (held, part, executed, refused, found)
        ends = {held.id: 2, part.id: 3, executed.id: 2, refused.id: 2, found.id: 2}
        until(lambda: all(len(moments(fresh_store, each.id)) == ends[each.id] for each in waiting))
    expected = {
        held.id: ["held", "expired"],
        part.id: ["held", "captured", "expired"],
        executed.id: ["scheduled", "settled"],
        refused.id: ["scheduled", "refused"],
        found.id: ["scheduled", "settled"],
        canceled.id: ["scheduled", "canceled"],
    }
    assert {stream: types(fresh_store, stream) for stream in expected} == expected
    for made_payment, deadline in (
        *(
            (each.id, datetime.fromisoformat(answer.body["hold_expires_at"]))
            for each, answer in zip((held, part), made, strict=False)
        ),
        *((each.id, at) for each in (executed, refused, found)),
    ):
        _, recorded_at, caller = moments(fresh_store, made_payment)[-1]
        assert timedelta(0) <= recorded_at - deadline < timedelta(seconds=WITHIN_S)
        assert caller == "tallystick"
    catch_up(fresh_store.app_dsn, ["payments"])

    def shown(stream: UUID) -> Any:
        return viewing(
            fresh_store.app_dsn, "payments", lambda view: read_payment(view, stream, now=clock())
        )

    assert shown(held.id)["state"] == "expired"
    assert shown(part.id)["state"] == "settled"
    assert shown(refused.id)["refusal"]["code"] == "insufficient_funds"
    # The order of executions is that of the payments' making: what came in goes out.
    assert shown(found.id)["postings"][0]["amount"] == 17
    assert shown(canceled.id)["state"] == "canceled"


def test_a_payment_of_a_frozen_account_is_decided_at_its_time(fresh_store: Store) -> None:
    with writing(fresh_store) as writer, workers(fresh_store.app_dsn, "payments"):
        decided(writer, opened("o1", "alice", overdraft_limit=None), opened("o2", "bob"))
        decided(writer, command(FreezeAccount, "f1", account="alice", reason="why"))
        at = clock() + timedelta(seconds=0.3)
        first = payment("k1", ("alice", "bob", 1), execute_at=at)
        assert decided(writer, first)[0].body["state"] == "scheduled"
        with sweeping(fresh_store, writer):
            until(lambda: types(fresh_store, first.id) == ["scheduled", "refused"])
            decided(writer, command(UnfreezeAccount, "f2", account="alice", reason="why"))
            second = payment("k2", ("alice", "bob", 1), execute_at=clock() + timedelta(seconds=0.3))
            decided(writer, second)
            until(lambda: types(fresh_store, second.id) == ["scheduled", "settled"])


def test_what_came_due_while_nobody_looked_is_done_once_somebody_does(fresh_store: Store) -> None:
    with writing(fresh_store) as writer, workers(fresh_store.app_dsn, "payments"):
        decided(writer, opened("o1", "alice", overdraft_limit=None), opened("o2", "bob"))
        holds = [
            payment(f"k{n}", ("alice", "bob", 1), mode="hold", hold_timeout_s=1) for n in range(250)
        ]
        decided(writer, *holds)
        time.sleep(1.1)
        with sweeping(fresh_store, writer):
            until(lambda: all_are(fresh_store, "expired", 250))


def test_a_cancel_that_races_with_the_execution_is_the_one_or_the_other(
    fresh_store: Store,
) -> None:
    chance = random.Random(3)
    with writing(fresh_store) as writer, workers(fresh_store.app_dsn, "payments"):
        decided(writer, opened("o1", "alice", overdraft_limit=None), opened("o2", "bob"))
        at = clock() + timedelta(seconds=1)
        made = [payment(f"k{n}", ("alice", "bob", 1), execute_at=at) for n in range(100)]
        decided(writer, *made)
        with sweeping(fresh_store, writer):
            chance.shuffle(made)
            asked = []
            for n, each in enumerate(made):
                while clock() < at - timedelta(milliseconds=150) + timedelta(milliseconds=5 * n):
                    time.sleep(0.001)
                asked.append(writer.submit(command(CancelPayment, f"c{n}", payment=each.id)))
            answers = [each.result(timeout=PATIENCE_S) for each in asked]
            until(lambda: all(len(types(fresh_store, each.id)) == 2 for each in made))
    outcomes = {True: 0, False: 0}
    for each, answer in zip(made, answers, strict=True):
        canceled = answer.refusal is None
        outcomes[canceled] += 1
        assert types(fresh_store, each.id) == ["scheduled", "canceled" if canceled else "settled"]
        if answer.refusal:
            assert answer.refusal["code"] == "payment_not_cancelable"
    assert all(outcomes.values()), "neither side ever won"


def test_two_that_look_at_once_do_everything_once(fresh_store: Store) -> None:
    """Without the lock, on one read model: each finds what the other does."""
    with ExitStack() as stack:
        writers = [stack.enter_context(writing(fresh_store)) for _ in range(2)]
        decided(writers[0], opened("o1", "alice", overdraft_limit=None), opened("o2", "bob"))
        at = clock() + timedelta(seconds=0.5)
        made = [payment(f"k{n}", ("alice", "bob", 1), execute_at=at) for n in range(150)]
        decided(writers[0], *made)
        stack.enter_context(workers(fresh_store.app_dsn, "payments"))
        lock = stack.enter_context(psycopg.connect(fresh_store.app_dsn, autocommit=True))
        lock.execute("SELECT pg_advisory_lock(%s)", (SWEEPER_LOCK,))
        for writer in writers:
            found = DuePaymentsReadModel(fresh_store.app_dsn, timeout_s=5)
            sweeper = Sweeper(found, writer.submit, clock=lambda: clock() + OVERDUE)
            sweeper.start()
            stack.callback(sweeper.stop)
        until(lambda: all_are(fresh_store, "settled", 150))
        time.sleep(0.5)
        assert {tuple(types(fresh_store, each.id)) for each in made} == {("scheduled", "settled")}


def test_the_writer_decides_again_whatever_the_read_model_shows(fresh_store: Store) -> None:
    with writing(fresh_store) as writer:
        decided(writer, opened("o1", "alice", overdraft_limit=None), opened("o2", "bob"))
        held = payment("k1", ("alice", "bob", 1), mode="hold")
        decided(writer, held)
        found: Any = [Due(held.id, "expire"), Due(held.id, "execute")]
        asked: list[Any] = []

        class ReadModel:
            def due(self, now: datetime, limit: int) -> Any:
                return found

            def close(self) -> None: ...

        def submit(each: Any) -> Any:
            asked.append(writer.submit(each))
            return asked[-1]

        assert Sweeper(ReadModel(), submit, clock=clock).look() == 2
        assert [type(each.exception()) for each in asked] == [NothingDue] * 2
    assert types(fresh_store, held.id) == ["held"]


def all_are(store: Store, kind: str, count: int) -> bool:
    with psycopg.connect(store.app_dsn) as connection:
        row = connection.execute(
            "SELECT count(*) FROM tally.events WHERE type = %s", (f"tally.payment.{kind}.v1",)
        ).fetchone()
    return row == (count,)


# Processes --------------------------------------------------------------------------------


def test_real_processes_meet_a_deadline_within_a_second_and_take_over_from_each_other(
    system: System,
) -> None:
    store = system.store
    system.worker("payments")
    serving = [system.api(), system.api()]
    with writing(store) as writer:
        decided(writer, opened("o1", "alice", overdraft_limit=None), opened("o2", "bob"))
        for turn in range(3):
            at = clock() + timedelta(seconds=1)
            scheduled = payment(f"s{turn}", ("alice", "bob", 1), execute_at=at)
            held = payment(f"h{turn}", ("alice", "bob", 1), mode="hold", hold_timeout_s=1)
            decided(writer, scheduled, held)
            until(lambda: types(store, scheduled.id) == ["scheduled", "settled"])  # noqa: B023
            until(lambda: types(store, held.id) == ["held", "expired"])  # noqa: B023
            late = moments(store, scheduled.id)[-1][1] - at
            assert timedelta(0) <= late < timedelta(seconds=WITHIN_S)
            if turn == 1:
                ((pid,),) = system.rows(
                    "SELECT pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
                    " WHERE datname = current_database() AND locktype = 'advisory' AND granted"
                    " AND objid = %s",
                    SWEEPER_LOCK,
                )
                system.rows("SELECT pg_terminate_backend(%s)", pid)
            if turn == 0:
                serving[0].process.kill()
    assert serving[1].process.running
