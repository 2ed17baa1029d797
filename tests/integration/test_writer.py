"""The writer on a real store: races, lost answers, twins, and what a failure leaves behind."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event, Semaphore
from typing import Any

import psycopg
import pytest
from eventsourcing.persistence import OperationalError
from psycopg import sql

from application.answers import Answer
from application.commands import PayTogether
from application.ledger import Ledger
from application.ports import EndMoved, StoreUnavailable
from application.writer import BULK_SHARE, Overloaded, Writer
from domain.ids import account_stream
from domain.refusals import IdempotencyKeyReused
from tests.fixtures.fix_ledger import a_ledger, a_writer, command, commit, opened, payment
from tests.fixtures.fix_postgres import Store


@pytest.fixture
def ledger(fresh_store: Store) -> Iterator[Ledger]:
    with a_ledger(fresh_store) as made:
        commit(made, opened("cash", "cash", normal_side="debit", overdraft_limit=None))
        commit(made, opened("alice", "alice"))
        commit(made, payment("salary", ("cash", "alice", 100)))
        yield made


def posted(ledger: Ledger, account: str) -> int:
    """Replayed from the store, without the cache."""
    replayed: Any = ledger.repository.get(account_stream("main", account))
    return int(replayed.posted)


@contextmanager
def slow_appends(ledger: Ledger) -> Iterator[Event]:
    """Appends wait until the event is set: what queues meanwhile goes in one batch."""
    go = Event()
    insert = ledger.store.insert_events

    def waiting(*args: Any, **kwargs: Any) -> Any:
        assert go.wait(timeout=30)
        return insert(*args, **kwargs)

    ledger.store.insert_events = waiting  # type: ignore[method-assign]
    yield go
    ledger.store.insert_events = insert  # type: ignore[method-assign]


def test_a_batch_that_lost_the_race_appends_nothing_and_leaves_no_phantom(
    ledger: Ledger, fresh_store: Store
) -> None:
    with a_ledger(fresh_store) as rival:
        batch = ledger.decide([payment("mine", ("alice", "cash", 100))])
        commit(rival, payment("theirs", ("alice", "cash", 60)))
        with pytest.raises(EndMoved):
            ledger.commit(batch)
        (refused,) = commit(ledger, payment("mine", ("alice", "cash", 100)))
    assert isinstance(refused, Answer)
    assert refused.refusal is not None
    assert refused.refusal["code"] == "insufficient_funds"
    assert posted(ledger, "alice") == 40


def test_a_writer_whose_answer_was_lost_finds_its_append_by_key(ledger: Ledger) -> None:
    insert = ledger.store.insert_events
    lost = []

    def answer_lost(*args: Any, **kwargs: Any) -> Any:
        inserted = insert(*args, **kwargs)
        if not lost:
            lost.append(inserted)
            raise OperationalError("the line was cut after the commit")
        return inserted

    ledger.store.insert_events = answer_lost  # type: ignore[method-assign]
    with a_writer(ledger) as writer:
        answer = writer.submit(payment("once", ("alice", "cash", 30))).result(timeout=10)
    assert not answer.replayed
    assert posted(ledger, "alice") == 70


def test_a_store_that_stays_away_is_an_answer_in_time(ledger: Ledger) -> None:
    def away(*args: Any, **kwargs: Any) -> Any:
        raise OperationalError("no store")

    with a_writer(ledger, timeout_s=0.2) as writer:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ledger.store, "fetch", away)
            patch.setattr(ledger.store, "insert_events", away)
            with pytest.raises(StoreUnavailable):
                writer.submit(payment("p", ("alice", "cash", 1))).result(timeout=10)
        assert not writer.submit(payment("p", ("alice", "cash", 1))).result(timeout=10).replayed


def test_a_store_that_has_become_read_only_is_away_until_there_is_one_to_write_to(
    fresh_store: Store,
) -> None:
    """As a primary is that has become the standby of another."""

    def read_only(on: str) -> None:
        with psycopg.connect(
            fresh_store.owner_dsn, autocommit=True, options="-c default_transaction_read_only=off"
        ) as owner:
            of = sql.Identifier(owner.info.dbname)
            owner.execute(
                sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}").format(of, on)
            )

    with a_ledger(fresh_store) as ledger:
        read_only("on")
        with a_writer(ledger, timeout_s=0.3) as writer:
            with pytest.raises(StoreUnavailable):
                writer.submit(opened("a", "alice")).result(30)
            read_only("off")
            assert writer.submit(opened("a", "alice")).result(30).position == 2


def test_what_queues_during_an_append_goes_in_the_next_one(ledger: Ledger) -> None:
    batches: list[int] = []
    with (
        slow_appends(ledger) as go,
        a_writer(ledger, observe=lambda commands, _: batches.append(commands)) as writer,
    ):
        answers = [writer.submit(payment(f"p{n}", ("alice", "cash", 1))) for n in range(64)]
        go.set()
        assert all(answer.result(timeout=30).refusal is None for answer in answers)
    assert sum(batches) == 64
    assert len(batches) <= 3
    assert posted(ledger, "alice") == 36


def a_piece(name: str, count: int) -> PayTogether:
    """Payments that come together, each for itself."""
    payments = [payment(f"{name}-{n}", ("cash", "alice", 1)) for n in range(count)]
    made: PayTogether = command(PayTogether, name, payments=payments, all_or_none=False)
    return made


def test_payments_that_come_singly_have_their_turn_before_those_that_come_by_the_hundred(
    ledger: Ledger,
) -> None:
    batches: list[int] = []
    with (
        slow_appends(ledger) as go,
        a_writer(ledger, observe=lambda payments, _: batches.append(payments)) as writer,
    ):
        first = writer.submit(payment("first", ("alice", "cash", 1)))
        while writer.queued:
            time.sleep(0.001)
        many = [writer.submit(a_piece(f"b{n}", 5)) for n in range(7)]
        many.append(writer.submit(a_piece("last", 1)))  # a body's last line, alone: not first
        single = writer.submit(payment("single", ("alice", "cash", 1)))
        go.set()
        position = single.result(timeout=30).position
        lines = [line for one in many for line in one.result(timeout=30).lines]
        assert all(isinstance(line, Answer) and line.position > position for line in lines)
        assert first.result(timeout=30).position < position
    # Beside a single one, and right after it, at most as many pieces as reach the share; then all
    # that is left.
    assert batches == [1, 1 + 2 * 5, 2 * 5, 3 * 5 + 1]
    assert BULK_SHARE == 8


def test_many_at_a_time_have_their_share_however_many_come_singly(ledger: Ledger) -> None:
    """Singles fill every batch here: those that came together don't wait for their end."""
    batches: list[int] = []
    with (
        slow_appends(ledger) as go,
        a_writer(
            ledger, batch_size=2, observe=lambda payments, _: batches.append(payments)
        ) as writer,
    ):
        first = writer.submit(payment("first", ("alice", "cash", 1)))
        while writer.queued:
            time.sleep(0.001)
        together = writer.submit(a_piece("all", 3))
        singles = [writer.submit(payment(f"p{n}", ("alice", "cash", 1))) for n in range(6)]
        go.set()
        assert len(together.result(timeout=30).lines) == 3
        assert all(one.result(timeout=30).refusal is None for one in (first, *singles))
    assert batches == [1, 2 + 3, 2, 2]


def test_what_came_together_counts_for_the_queue_until_it_is_decided(ledger: Ledger) -> None:
    gate, insert = Semaphore(0), ledger.store.insert_events

    def gated(*args: Any, **kwargs: Any) -> Any:
        assert gate.acquire(timeout=30)
        return insert(*args, **kwargs)

    ledger.store.insert_events = gated  # type: ignore[method-assign]
    with a_writer(ledger, queue_size=5) as writer, ExitStack() as at_the_end:
        at_the_end.callback(gate.release, 100)
        taken = [writer.submit(payment("first", ("alice", "cash", 1)))]
        while writer.queued:
            time.sleep(0.001)
        taken += [writer.submit(a_piece(f"b{n}", 5)) for n in range(4)]
        taken.append(writer.submit(payment("single", ("alice", "cash", 1))))
        gate.release()
        while writer.queued > 2:  # two pieces are its share beside the single one
            time.sleep(0.001)
        taken += [writer.submit(payment(f"p{n}", ("alice", "cash", 1))) for n in range(3)]
        with pytest.raises(Overloaded):
            writer.submit(payment("too many", ("alice", "cash", 1)))
        gate.release(100)
        assert all(one.result(timeout=30).refusal is None for one in taken)


def test_a_twin_that_arrives_while_the_first_is_under_way_gets_the_same_answer(
    ledger: Ledger,
) -> None:
    with slow_appends(ledger) as go, a_writer(ledger) as writer:
        twins = [writer.submit(payment("twin", ("alice", "cash", 60))) for _ in range(5)]
        other = writer.submit(payment("twin", ("alice", "cash", 61)))
        go.set()
        first, *replays = [twin.result(timeout=30) for twin in twins]
        with pytest.raises(IdempotencyKeyReused):
            other.result(timeout=30)
    assert not first.replayed
    assert all(replay == first._replace(replayed=True) for replay in replays)
    assert posted(ledger, "alice") == 40


def test_a_full_queue_refuses_at_once(ledger: Ledger) -> None:
    with slow_appends(ledger) as go, a_writer(ledger, queue_size=3, batch_size=1) as writer:
        taken = [writer.submit(payment("first", ("alice", "cash", 1)))]
        while writer.queued:  # the first one is being decided, and waits for its append
            time.sleep(0.001)
        taken += [writer.submit(payment(f"p{n}", ("alice", "cash", 1))) for n in range(3)]
        with pytest.raises(Overloaded):
            writer.submit(payment("too many", ("alice", "cash", 1)))
        go.set()
        assert all(one.result(timeout=30).refusal is None for one in taken)


def test_a_command_whose_client_left_before_its_turn_is_not_decided(ledger: Ledger) -> None:
    with slow_appends(ledger) as go, a_writer(ledger, batch_size=1) as writer:
        first = writer.submit(payment("p1", ("alice", "cash", 1)))
        left = writer.submit(payment("p2", ("alice", "cash", 1)))
        assert left.cancel()
        go.set()
        first.result(timeout=30)
        writer.submit(payment("p3", ("alice", "cash", 1))).result(timeout=30)
    assert posted(ledger, "alice") == 98


def test_a_defect_in_deciding_one_command_is_that_commands_alone(ledger: Ledger) -> None:
    broken = payment("broken", ("alice", "cash", 1))
    object.__setattr__(broken, "order", None)
    whole = payment("whole", ("alice", "cash", 1))
    broken_command: Any = Broken(broken)
    with slow_appends(ledger) as go, a_writer(ledger) as writer:
        sent = [writer.submit(one) for one in (whole, broken_command)]
        go.set()
        assert sent[0].result(timeout=30).refusal is None
        with pytest.raises(AssertionError):
            sent[1].result(timeout=30)
    assert posted(ledger, "alice") == 99


class Broken:
    """A command of which nobody knows the rule."""

    def __init__(self, like: Any) -> None:
        self.id, self.fingerprint, self.actor = like.id, like.fingerprint, like.actor
        self.commands, self.about, self.dry_run = [self], (), False

    def account_ids(self) -> tuple[str, ...]:
        return ()


def test_a_stopped_writer_has_decided_what_was_queued(ledger: Ledger) -> None:
    writer = Writer(ledger, queue_size=100, batch_size=7, timeout_s=5, on_death=lambda: None)
    sent = [writer.submit(payment(f"p{n}", ("alice", "cash", 1))) for n in range(40)]
    writer.start()
    writer.stop()
    assert all(one.done() and one.result().refusal is None for one in sent)
    assert not writer.alive


def test_two_writers_race_without_a_loss_or_a_double(
    ledger: Ledger, fresh_store: Store, scaled: Any, figure: Any
) -> None:
    count = scaled(1_000, least=100)

    def client(index: int, writer: Writer) -> int:
        answers = [
            writer.submit(payment(f"{index}-{n}", ("cash", "alice", 1))).result(timeout=30)
            for n in range(count)
        ]
        return len({answer.position for answer in answers})

    with (
        a_ledger(fresh_store) as rival,
        a_writer(ledger) as one,
        a_writer(rival) as other,
        ThreadPoolExecutor(8) as threads,
    ):
        answered = sum(threads.map(client, range(8), (one, other) * 4, timeout=120))
    assert answered == 8 * count
    assert posted(ledger, "alice") == 100 + 8 * count
    positions = [
        row[0] for row in ledger.store._rows("SELECT position FROM tally.events ORDER BY 1", ())
    ]  # type: ignore[attr-defined]
    assert positions == list(range(1, len(positions) + 1))
    figure("payments of two writers racing", answered)


def test_recorded_time_never_steps_back_whatever_the_clock_says(fresh_store: Store) -> None:
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    times = iter([noon, noon - timedelta(hours=3), noon + timedelta(seconds=1)])
    with a_ledger(fresh_store, clock=lambda: next(times)) as ledger:
        for name in ("a", "b", "c"):
            commit(ledger, opened(name, name))
        recorded = [event.recorded_at for event in ledger.store.read(1, 100)]  # type: ignore[attr-defined]
    assert recorded == [noon] * 4 + [noon + timedelta(seconds=1)] * 2


def test_a_small_cache_and_snapshots_change_nothing(fresh_store: Store) -> None:
    with a_ledger(fresh_store, cache_accounts=1, interval=10) as ledger:
        commit(ledger, opened("cash", "cash", normal_side="debit", overdraft_limit=None))
        commit(ledger, opened("alice", "alice"))
        for n in range(25):
            commit(ledger, payment(f"p{n}", ("cash", "alice", 1)))
        ledger._snapshots.take(account_stream("main", "alice"))
        snapshot = ledger.store.load_snapshot(account_stream("main", "alice"))  # type: ignore[attr-defined]
        assert snapshot.version == 26
        commit(ledger, payment("after", ("cash", "alice", 1)))
        (answer,) = commit(ledger, payment("all", ("alice", "cash", 26)))
    assert isinstance(answer, Answer)
    assert answer.refusal is None


def test_what_was_decided_before_is_answered_by_a_few_reads_and_alike(ledger: Ledger) -> None:
    """Payments of several lengths, settled, held and refused, with others' events in between."""
    commands = [
        payment(f"p{n}", *[("alice", "cash", 1)] * (n % 3 + 1), mode=("settle", "hold")[n % 2])
        for n in range(30)
    ] + [payment("too much", ("alice", "cash", 1000))]
    first = commit(ledger, *commands[:15])
    for n in range(5):
        commit(ledger, *[opened(f"o{n}-{m}", f"other{n}-{m}") for m in range(n * 10)])
    first += commit(ledger, *commands[15:])
    reads: list[tuple[int, int]] = []
    read = ledger.store.read

    def counted(start: int, end: int) -> Any:
        reads.append((start, end))
        return read(start, end)

    ledger.store.read = counted  # type: ignore[method-assign]
    again = commit(ledger, *commands)
    assert len(reads) <= 3
    for one, other in zip(first, again, strict=True):
        assert isinstance(one, Answer)
        assert isinstance(other, Answer)
        assert other == one._replace(replayed=True)
