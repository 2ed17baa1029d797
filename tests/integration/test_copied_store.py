"""A store that was filled by COPY is as good as one that was written to, and no other is filled."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest

from application.answers import Answer
from application.attempts import AttemptLimits
from application.ledger import Ledger
from application.snapshots import Snapshots
from infrastructure.copied_store import CopiedStoreFactory, NotEmpty, copied_into
from infrastructure.mapper import EventMapper
from infrastructure.reconcile import reconcile
from infrastructure.store import Datastore, LedgerRecorder
from tests.fixtures.fix_ledger import a_ledger, clock, commit, opened, payment
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_projections import catch_up

pytestmark = pytest.mark.slow

_SHAPE = (
    "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE conrelid = 'tally.events'::regclass ORDER BY conname",
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'tally' AND tablename = 'events'"
    " ORDER BY indexdef",
    "SELECT reloptions, relacl FROM pg_class WHERE oid = 'tally.events'::regclass",
)


def rows(dsn: str, *queries: str) -> list[Any]:
    with psycopg.connect(dsn) as connection:
        return [connection.execute(query.encode()).fetchall() for query in queries]


@contextmanager
def copying(store: Store) -> Iterator[Ledger]:
    with (
        copied_into(store.owner_dsn) as copy,
        closing(Datastore(store.owner_dsn, pool_size=1, timeout_s=5)) as datastore,
    ):
        yield Ledger(
            ledger=store.ledger,
            factory=CopiedStoreFactory(datastore, copy),
            clock=clock,
            snapshots=Snapshots(LedgerRecorder(datastore), EventMapper(), interval=1_000),
            cache_accounts=10,
            attempt_limits=AttemptLimits(),
        )


def test_a_ledger_goes_on_from_what_was_copied(fresh_store: Store) -> None:
    shape = rows(fresh_store.owner_dsn, *_SHAPE)
    with copying(fresh_store) as ledger:
        commit(ledger, *(opened(name, name, overdraft_limit=None) for name in "ab"))
        for number in range(20):
            commit(ledger, payment(f"pay-{number}", ("a", "b", 5)))
    assert rows(fresh_store.owner_dsn, *_SHAPE) == shape
    with a_ledger(fresh_store) as ledger:
        again, more = commit(
            ledger, payment("pay-19", ("a", "b", 5)), payment("more", ("b", "a", 1))
        )
    assert isinstance(again, Answer)
    assert isinstance(more, Answer)
    assert (again.replayed, again.position) == (True, 64)
    assert (more.replayed, more.position) == (False, 67)
    assert [balance["posted"] for balance in more.body["balances"]] == [99, -99]
    catch_up(fresh_store.app_dsn)
    report = reconcile(fresh_store.app_dsn, snapshot_differs=lambda _: False)
    assert report.good, report.differences
    assert (report.end, report.sums) == (67, {"EUR": 0})


def test_what_broke_off_leaves_the_store_as_it_was(fresh_store: Store) -> None:
    shape = rows(fresh_store.owner_dsn, *_SHAPE)

    def broken_off() -> None:
        with copying(fresh_store) as ledger:
            commit(ledger, opened("a", "a"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert rows(fresh_store.owner_dsn, *_SHAPE, "SELECT position FROM tally.events") == [*shape, []]


def test_a_store_that_has_events_is_not_filled(fresh_store: Store) -> None:
    with a_ledger(fresh_store) as ledger:
        commit(ledger, opened("a", "a"))
    with pytest.raises(NotEmpty), copied_into(fresh_store.owner_dsn):
        raise AssertionError("nothing may be copied")
    with a_ledger(fresh_store) as ledger:
        (answer,) = commit(ledger, opened("a", "a"))
    assert isinstance(answer, Answer)
    assert answer.replayed
