"""A store that has lost its last events, and goes on: a standby was promoted that lacked them, or a
backup was restored, while a writer lives that remembers them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from eventsourcing.persistence import OperationalError

from application.commands import Command
from application.ledger import Ledger
from domain.ids import account_stream
from infrastructure.store import LedgerRecorder
from tests.fixtures.fix_ledger import a_ledger, a_writer, commit, opened, payment
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_reconcile import checked, owner
from tests.fixtures.fix_steps import Clock, answer, balances, end, hold


def lose(store: Store, after: int) -> None:
    with owner(store) as connection:
        connection.execute("DELETE FROM tally.events WHERE position > %s", (after,))


def assert_right(store: Store) -> None:
    """The history is: of read models there are none here."""
    wrong = checked(store).differences
    assert [each for each in wrong if "read model" not in each] == []


LOST = {
    "payment": payment("gift", ("cash", "alice", 500)),
    "hold": hold("held", 60),
    "account": opened("carol", "carol"),
}
INSTEAD: Mapping[str, Sequence[Command]] = {
    "nothing": (),
    # As many events, and at the end one of the same account, version and time.
    "payment": (payment("other", ("cash", "alice", 1)),),
    "hold": (hold("other", 30),),
    "account": (opened("other", "dora"),),
    "more": tuple(payment(f"more-{n}", ("cash", "bob", 1)) for n in range(5)),
}


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
@pytest.mark.parametrize("instead", INSTEAD.values(), ids=INSTEAD)
def test_a_writer_decides_on_what_the_store_has_and_not_on_what_it_remembers(
    fresh_store: Store,
    ledger: Ledger,
    rival: Ledger,
    clock: Clock,
    lost: Command,
    instead: Sequence[Command],
) -> None:
    commit(ledger, payment("before", ("alice", "bob", 1)))
    commit(ledger, payment("presumes from here on", ("alice", "bob", 1)))
    kept = end(ledger)
    commit(ledger, lost)
    lose(fresh_store, kept)
    for command in instead:
        commit(rival, command)
    refused = payment("dear", ("alice", "bob", 400))
    with a_writer(ledger) as writer:
        told = writer.submit(refused).result(timeout=10)
        assert told.refusal == {
            "code": "insufficient_funds",
            "account": "alice",
            "index": 0,
            "payment_id": str(refused.id),
        }
        more = [writer.submit(payment(f"p{n}", ("alice", "bob", 1))) for n in range(3)]
        assert [each.result(timeout=10).refusal for each in more] == [None] * 3
    assert_right(fresh_store)
    with a_ledger(fresh_store, clock=clock) as another:
        assert answer(another, payment("after", ("bob", "cash", 1))).refusal is None
    assert not answer(ledger, lost).replayed  # its client may send it again, with its key
    assert_right(fresh_store)


def test_a_store_that_is_empty_again_is_begun_anew(fresh_store: Store, ledger: Ledger) -> None:
    lose(fresh_store, 0)
    first = answer(ledger, opened("cash", "cash", normal_side="debit", overdraft_limit=None))
    assert (first.position, first.replayed) == (2, False)
    commit(ledger, opened("alice", "alice"))
    assert balances(answer(ledger, payment("p", ("cash", "alice", 7))), "alice") == (7, 0, 0, 7)
    assert_right(fresh_store)


def test_no_snapshot_is_kept_of_what_the_store_lost_meanwhile(
    fresh_store: Store, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was read from a server that is gone, and would be written to the one that took over."""
    kept = end(ledger)
    commit(ledger, payment("lost", ("cash", "alice", 500)))
    read, times = LedgerRecorder.select_events, iter([True])

    def then_taken_over(recorder: LedgerRecorder, *args: Any, **wanted: Any) -> Any:
        found = read(recorder, *args, **wanted)
        if not next(times, False):
            return found
        lose(fresh_store, kept)
        with owner(fresh_store) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'tally writer'"
            )
        recorder.datastore.pool.check()  # new ones, as the pool makes in time
        return found

    stream = account_stream("main", "alice")
    monkeypatch.setattr(LedgerRecorder, "select_events", then_taken_over)
    with pytest.raises(OperationalError):
        ledger._snapshots.take(stream)
    with owner(fresh_store) as connection:
        assert connection.execute("SELECT FROM tally.snapshots").fetchall() == []
    commit(ledger, payment("after", ("cash", "alice", 7)))
    assert balances(answer(ledger, payment("p", ("alice", "bob", 1))), "alice")[0] == 106
