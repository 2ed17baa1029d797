"""An account with a million events is ready at once after a restart."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from application.ledger import Ledger
from application.ports import Fetched
from domain.account import Account
from domain.decisions import make
from domain.events import Actor, Posting
from domain.ids import account_stream, command_stream
from domain.order import PaymentOrder
from infrastructure.mapper import EventMapper
from tests.fixtures.fix_ledger import a_ledger, opened, payment
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_processes import Figure, Scaled

HOT = account_stream("main", "hot")
INTERVAL = 1_000
POSTINGS = 100
"""Of each payment that fills the account: the most that one may have."""


def fill(store: Store, wanted: int) -> None:
    """Gives the account so many entries, as the writer would have recorded them."""
    accounts: dict[str, Account] = {}
    with a_ledger(store) as ledger:
        terms = {"normal_side": "debit", "overdraft_limit": None}
        ledger.commit(ledger.decide([opened("c", "cash", **terms), opened("h", "hot")]))
        for name in ("cash", "hot"):
            accounts[name] = ledger.repository.get(account_stream("main", name))
        end = ledger.store.fetch((), (), ()).end.position
    assert end
    copy = "COPY tally.events FROM STDIN (FORMAT binary)"
    with psycopg.connect(store.owner_dsn) as conn, conn.cursor().copy(copy) as rows:
        rows.set_types(["bigint", "uuid", "bigint", "text", "timestamptz", "bytea"])
        for position, row in enumerate(entries(accounts, wanted), end + 1):
            rows.write_row((position, *row))
    with psycopg.connect(store.owner_dsn, autocommit=True) as conn:
        conn.execute("VACUUM ANALYZE tally.events")


def entries(accounts: dict[str, Account], wanted: int) -> Iterator[tuple[Any, ...]]:
    mapper, now = EventMapper(), datetime.now(UTC)
    order = PaymentOrder(postings=(Posting("cash", "hot", 1, "EUR"),) * POSTINGS, metadata={})
    for number in range(wanted // POSTINGS):
        for event in make(
            order,
            accounts,
            payment=command_stream("main", "filler", str(number)),
            fingerprint=bytes(32),
            actor=Actor("filler", "key-1", "request-1"),
            now=now,
        )[1]:
            stored = mapper.to_stored_event(event)
            yield (
                stored.originator_id, stored.originator_version, stored.topic, now, stored.state
            )  # fmt: skip


def first_command(ledger: Ledger, key: str) -> tuple[float, list[Fetched]]:
    """Seconds until its answer, and what was read for it."""
    fetch, read = ledger.store.fetch, []

    def fetching(*args: Any) -> Fetched:
        read.append(fetch(*args))
        return read[-1]

    ledger.store.fetch = fetching  # type: ignore[method-assign]
    began = time.monotonic()
    (answer,) = ledger.commit(ledger.decide([payment(key, ("hot", "cash", 1))]))
    took_s = time.monotonic() - began
    assert not isinstance(answer, Exception)
    assert answer.refusal is None
    return took_s, read


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hot_account_is_ready_at_once_after_a_restart(
    fresh_store: Store, scaled: Scaled, figure: Figure
) -> None:
    events = scaled(1_000_000, least=100_000)
    fill(fresh_store, events)
    with a_ledger(fresh_store, interval=INTERVAL) as ledger:
        # Nothing is known of it but its events: read once in pages, and never again.
        unready_s, _ = first_command(ledger, "first")
        # Enough for a snapshot to come due, as in a process that has run for a while.
        for number in range(20):
            order = tuple(("cash", "hot", 1) for _ in range(POSTINGS))
            ledger.commit(ledger.decide([payment(f"more-{number}", *order)]))
    took: list[float] = []
    for restart in range(10):
        with a_ledger(fresh_store, interval=INTERVAL) as ledger:
            ledger.store.fetch([], [], [])  # the process has its connection
            took_s, read = first_command(ledger, f"restart-{restart}")
            took.append(took_s)
            assert not any(fetched.unread for fetched in read)
            loaded = sum(len(fetched.of_streams) for fetched in read)
            assert loaded <= 2 * (2 * INTERVAL), "both accounts from about their last snapshots"
            assert any(snapshot.stream == HOT for f in read for snapshot in f.snapshots)
    figure("events of the hot account", events)
    figure("… first command after a restart, ms", sorted(took)[len(took) // 2] * 1000)
    figure("… slowest of ten, ms", max(took) * 1000)
    figure("… first command ever, without a snapshot, ms", unready_s * 1000)
    assert max(took) < 2
