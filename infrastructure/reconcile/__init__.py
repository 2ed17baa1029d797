"""`tally reconcile`: everything that can be proven of a ledger, proven once more from the events.

It has a fold of its own (replay.py), apart from the aggregates' and the projections', so that
one mistake doesn't vouch for the other. It reads only.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from psycopg import Connection, IsolationLevel
from psycopg.errors import UndefinedTable

from application.ports import StoredSnapshot
from infrastructure.kafka.clients import KafkaClients
from infrastructure.kafka.topics import Topics
from infrastructure.mapper import EventMapper
from infrastructure.reconcile.findings import Found
from infrastructure.reconcile.read_models import ReadModels
from infrastructure.reconcile.replay import Replay
from infrastructure.reconcile.topic import compare_topic

MAX_NAMED: Final = 200
"""Differences named; those beyond are counted."""

PROJECTIONS: Final = ("accounts", "balances", "statements", "payments")
"""Each has its comparison in read_models.py; a test holds them to the registry."""
CATCH_UP_S: Final = 10.0
"""How long a projection that is a moment behind is waited for."""


SnapshotDiffers = Callable[[StoredSnapshot], bool]
"""Whether a replay of the stream up to the snapshot's version gives another state."""
Progress = Callable[[str, int, int], None]
"""Called with what is looked at, how far, and of how many."""


@dataclass(slots=True)
class Report:
    """What was looked at, and every difference found."""

    end: int = 0
    accounts: int = 0
    payments: int = 0
    rows: int = 0
    """Rows of read models compared."""
    snapshots: int = 0
    positions: dict[str, int] = field(default_factory=dict)
    """By projection: the position it was compared at."""
    topic: int | None = None
    """The position that the topic was compared up to; None where it wasn't."""
    sums: dict[str, int] = field(default_factory=dict)
    """By currency: debit balances less credit balances; zero, or something is wrong."""
    differences: list[str] = field(default_factory=list)
    unnamed: int = 0
    """Differences beyond those named."""

    @property
    def good(self) -> bool:
        return not self.differences

    def found(self, difference: str) -> None:
        if len(self.differences) < MAX_NAMED:
            self.differences.append(difference)
        else:
            self.unnamed += 1


def reconcile(
    app_dsn: str,
    *,
    snapshot_differs: SnapshotDiffers,
    mirror: tuple[KafkaClients, Topics] | None = None,
    progress: Progress = lambda *_: None,
) -> Report:
    """Proves store, read models, snapshots and, where it is given, the mirror in Kafka; see
    Report. Changes nothing.

    Raises psycopg.OperationalError where the store can't be reached, FeedAway where Kafka
    can't.
    """
    report = Report()
    with closing(_connect(app_dsn)) as store, closing(_connect(app_dsn)) as reading:
        run = _Run(store, reading, report, progress)
        run.read_models()
        run.rest_of_store()
        run.snapshots(snapshot_differs)
        if mirror is not None:
            run.topic(*mirror)
    return report


class _Run:
    def __init__(
        self,
        store: Connection[Any],
        reading: Connection[Any],
        report: Report,
        progress: Progress,
    ) -> None:
        self._store = store
        self._reading = reading
        self._report = report
        self._progress = progress
        self._mapper = EventMapper()
        self._ledger: str = _value(store, "SELECT name FROM tally.ledger")
        self._replay = self._replayed(report.found)

    def read_models(self) -> None:
        """The one furthest behind first: the replay advances to each one's position."""
        standings = self._standings()
        for name in PROJECTIONS:
            if name not in standings:
                self._report.found(f"{name}: the read model is missing")
        for name in sorted(standings, key=lambda name: standings[name]):
            self._advance(self._replay, standings[name])
            try:
                self._compare(name)
            except UndefinedTable:
                self._report.found(f"{name}: the read model is missing")

    def rest_of_store(self) -> None:
        self._advance(self._replay, self._end())
        self._replay.finish()
        report, replay = self._report, self._replay
        report.end = replay.position
        report.accounts, report.payments = len(replay.accounts), replay.payments
        report.sums = dict(sorted(replay.sums_by_currency().items()))
        for currency, total in report.sums.items():
            if total:
                report.found(f"trial balance: {currency} is off by {total}")

    def snapshots(self, differs: SnapshotDiffers) -> None:
        columns = "stream, version, state_version, position, state"
        rows = self._store.execute(
            f"SELECT {columns} FROM tally.snapshots ORDER BY stream".encode(), binary=True
        ).fetchall()
        for number, row in enumerate(rows, 1):
            snapshot = StoredSnapshot(*row)
            self._progress("snapshots", number, len(rows))
            if differs(snapshot):
                name = self._replay.streams.get(snapshot.stream, snapshot.stream)
                self._report.found(
                    f"snapshot of {name} at version {snapshot.version}: another state than replay"
                )
        self._report.snapshots = len(rows)

    def topic(self, clients: KafkaClients, topics: Topics) -> None:
        self._report.topic = compare_topic(
            self._store,
            clients,
            topics,
            self._ledger,
            end=self._report.end,
            within_s=CATCH_UP_S,
            found=self._report.found,
            progress=lambda done, of: self._progress("topic", done, of),
        )

    def _compare(self, name: str) -> None:
        deadline = time.monotonic() + CATCH_UP_S
        while True:
            with self._reading.transaction():
                position, generation = self._standing(name)
                if position >= self._replay.position or time.monotonic() > deadline:
                    replay = self._replay_at(position)
                    self._report.positions[name] = position
                    self._progress(name, position, position)
                    models = ReadModels(
                        self._reading, self._store, self._mapper, generation, self._report.found
                    )
                    getattr(models, name)(replay)
                    self._report.rows += models.rows
                    return
            time.sleep(0.05)

    def _replay_at(self, position: int) -> Replay:
        """The replay at exactly this position: a second one, should it be past it for good."""
        if position >= self._replay.position:
            self._advance(self._replay, position)
            return self._replay
        again = self._replayed(lambda _: None)
        self._advance(again, position)
        return again

    def _replayed(self, found: Found) -> Replay:
        return Replay(self._store, self._mapper, self._ledger, found)

    def _advance(self, replay: Replay, to: int) -> None:
        end = max(to, self._end())
        replay.advance(to, lambda position: self._progress("events", position, end))

    def _end(self) -> int:
        return int(_value(self._store, "SELECT coalesce(max(position), 0) FROM tally.events"))

    def _standings(self) -> dict[str, int]:
        standings = {}
        for name in PROJECTIONS:
            try:
                with self._reading.transaction():
                    standings[name] = self._standing(name)[0]
            except (UndefinedTable, LookupError):
                continue
        return standings

    def _standing(self, name: str) -> tuple[int, int]:
        """Watermark and live generation, in the transaction's snapshot."""
        row = self._reading.execute(
            "SELECT min(c.position), generation FROM tally_read.pointers"
            " JOIN tally_read.checkpoints c USING (projection, generation)"
            " WHERE projection = %s GROUP BY generation",
            (name,),
        ).fetchone()
        if row is None:
            raise LookupError(name)
        return int(row[0]), int(row[1])


def _connect(dsn: str) -> Connection[Any]:
    connection = psycopg.connect(
        dsn,
        autocommit=True,
        application_name="tally reconcile",
        connect_timeout=5,
        options="-c TimeZone=UTC",
    )
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    return connection


def _value(connection: Connection[Any], query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None
