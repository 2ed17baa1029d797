"""The event store: the library's PostgreSQL recorder with our append and our reads.

The library's own insert is refused to an append-only role, its positions have gaps, and a client
that vanishes inside its transaction blocks every writer; `tally.append` replaces it
(docs/adr/0006). Tables and functions are made by migrations, never here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import psycopg
from eventsourcing.persistence import (
    AggregateRecorder,
    InfrastructureFactory,
    InterfaceError,
    Mapper,
    Notification,
    OperationalError,
    ProcessRecorder,
    StoredEvent,
    Transcoder,
)
from eventsourcing.postgres import (
    ConnectionPool,
    PostgresApplicationRecorder,
    PostgresDatastore,
)
from eventsourcing.utils import Environment
from psycopg import Connection
from psycopg.rows import DictRow, dict_row, tuple_row

from application.attempts import Attempt, AttemptLimits, Tried
from application.ports import End, EndMoved, Fetched, StorageFull, StoredSnapshot
from domain.account import Account
from infrastructure.arrays import byte_strings, integers, texts, uuids
from infrastructure.connections import GRACE_S, KEEPALIVES, PatientConnection
from infrastructure.locks import WRITER_TURN_LOCK
from infrastructure.mapper import EventMapper, RecordedEvent

MAX_LOADED_EVENTS = 10_000
"""An account with more events than this after its snapshot is not loaded by `fetch`."""

TURN_WAIT = "500ms"

_COLUMNS = "position, stream, version, type, recorded_at, payload"

_APPEND = "SELECT tally.append(%s, %s, %s, %s, %s, %s, %s, %s, %s)"

_READ = f"SELECT {_COLUMNS} FROM tally.events WHERE position BETWEEN %s AND %s ORDER BY position"

_READ_STREAM = f"SELECT {_COLUMNS} FROM tally.events WHERE stream = %s ORDER BY version"

_STREAM = f"""
    SELECT {_COLUMNS} FROM tally.events
    WHERE stream = %(stream)s
      AND version > coalesce(%(gt)s, 0) AND version <= coalesce(%(lte)s, 9223372036854775807)
    ORDER BY version {{order}} LIMIT %(limit)s
"""

# A client names subjects: what isn't one, maybe an account of a million events, is not read.
# One statement is one snapshot: the end, the keys' first events, and what is asked for.
_FETCH = f"""
    WITH ends AS (
        SELECT position, stream, recorded_at, payload FROM tally.events
        ORDER BY position DESC LIMIT 1
    ),
    snaps AS (
        SELECT stream, version, position, state FROM tally.snapshots
        WHERE stream = ANY(%(accounts)s) AND state_version = %(state_version)s
    )
    SELECT 'end', position, stream, NULL::bigint, NULL::text, recorded_at, payload, NULL FROM ends
    UNION ALL
    SELECT 'key', {_COLUMNS}, NULL FROM tally.events WHERE stream = ANY(%(keys)s) AND version = 1
    UNION ALL
    SELECT 'attempt', NULL, command, NULL, caller, at, fingerprint, account FROM tally.attempts
    WHERE (caller = ANY(%(callers)s) OR account = ANY(%(credited)s)) AND at > %(since)s
    UNION ALL
    SELECT 'snapshot', position, stream, version, NULL, NULL, state, NULL FROM snaps
    UNION ALL
    SELECT 'account', later.*, NULL
    FROM unnest(%(accounts)s::uuid[]) AS wanted (stream)
    LEFT JOIN snaps USING (stream)
    CROSS JOIN LATERAL (
        SELECT {_COLUMNS} FROM tally.events
        WHERE events.stream = wanted.stream AND events.version > coalesce(snaps.version, 0)
        ORDER BY events.version LIMIT {MAX_LOADED_EVENTS + 1}
    ) AS later
    UNION ALL
    SELECT 'subject', own.*, NULL
    FROM tally.events AS first
    CROSS JOIN LATERAL (
        SELECT {_COLUMNS} FROM tally.events WHERE events.stream = first.stream
        ORDER BY events.version
    ) AS own
    WHERE first.stream = ANY(%(subjects)s) AND first.version = 1
        AND first.type NOT LIKE ALL (ARRAY['tally.account.%%', 'tally.command.%%'])
"""

_COUNT_ATTEMPT = "SELECT tally.count_attempt(%s, %s, %s, %s, %s, %s, %s::integer, %s::integer)"

_LOAD_SNAPSHOT = """
    SELECT stream, version, state_version, position, state FROM tally.snapshots
    WHERE stream = %s AND state_version = %s
"""

_SAVE_SNAPSHOT = """
    INSERT INTO tally.snapshots AS kept (stream, version, state_version, position, state)
    VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT (stream) DO UPDATE
    SET (version, state_version, position, state)
        = (excluded.version, excluded.state_version, excluded.position, excluded.state)
    WHERE (kept.state_version, kept.version) < (excluded.state_version, excluded.version)
"""


class Datastore(PostgresDatastore):
    """The library's, over a whole DSN (it takes host and password apart) and a bounded pool."""

    def __init__(self, dsn: str, *, pool_size: int, timeout_s: float) -> None:
        self.schema = "tally"
        self.originator_id_type = "uuid"
        self.enable_db_functions = False  # its ids become visible out of order
        self.pool_open_timeout = None
        self.lock_timeout = 0
        self.db_type_names = set()
        self.psycopg_type_adapters = {}
        self.psycopg_python_types = {}

        def configure(connection: Connection[DictRow]) -> None:
            assert isinstance(connection, PatientConnection)
            connection.patience_s = timeout_s + GRACE_S

        self.pool = ConnectionPool(
            dsn,
            connection_class=PatientConnection,
            configure=configure,
            kwargs={
                "autocommit": True,
                "row_factory": dict_row,
                "application_name": "tally writer",
                "connect_timeout": max(2, int(timeout_s)),
                **KEEPALIVES,
                # A plan that scans the events can only be a wrong guess on a fresh table; and one
                # made anew for each batch takes longer than what it is for.
                "options": f"-c statement_timeout={int(timeout_s * 1000)} -c enable_seqscan=off"
                " -c plan_cache_mode=force_generic_plan",
            },
            min_size=1,
            max_size=pool_size,
            open=False,
            # No bound of who waits, a few threads: it would count those who have given up waiting,
            # and refuse all others before a new connection is tried.
            timeout=timeout_s,
            # Its pauses between attempts double: after a long outage it would be the last to know.
            reconnect_timeout=timeout_s,
        )


class LedgerRecorder(PostgresApplicationRecorder):
    """Appends by compare-and-set on the end of the store, in one statement, and never retries.

    Ports: application.ports.LedgerStore and SnapshotStore. What a lost connection means is the
    writer's to find out: a blind retry would double a command whose answer was lost.
    """

    datastore: Datastore

    def __init__(self, datastore: Datastore) -> None:
        # Not the library's __init__: it prepares statements for tables that we don't have.
        self.datastore = datastore
        self._only: Connection[DictRow] | None = None
        """That of `on_one_connection`."""
        self._turn: Connection[DictRow] | None = None

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        decided_at: End = kwargs["decided_at"]
        recorded_at: datetime = kwargs["recorded_at"]
        try:
            with self._connection() as conn, conn.cursor(row_factory=tuple_row) as cursor:
                row = cursor.execute(
                    _APPEND,
                    (
                        *decided_at,
                        recorded_at,
                        uuids([cast(UUID, event.originator_id) for event in stored_events]),
                        integers([event.originator_version for event in stored_events]),
                        texts([event.topic for event in stored_events]),
                        byte_strings([event.state for event in stored_events]),
                    ),
                    prepare=True,
                    binary=True,
                ).fetchone()
        except Exception as error:
            if isinstance(error.__cause__, psycopg.errors.DiskFull):
                raise StorageFull from error
            raise
        if row is None or row[0] is None:
            raise EndMoved
        first = decided_at.position + 1
        return range(first, first + len(stored_events))

    def fetch(
        self,
        keys: Sequence[UUID],
        accounts: Sequence[UUID],
        subjects: Sequence[UUID],
        tried: Tried | None = None,
    ) -> Fetched:
        end = End()
        of_keys: list[Notification] = []
        snapshots: list[StoredSnapshot] = []
        of_streams: list[Notification] = []
        attempts: list[Attempt] = []
        loaded: dict[UUID, int] = {}
        parameters = {
            "keys": uuids(keys),
            "accounts": uuids(accounts),
            "subjects": uuids(subjects),
            "state_version": Account.STATE_VERSION,
            "callers": texts([*tried.callers] if tried else ()),
            "credited": texts([*tried.accounts] if tried else ()),
            "since": tried and tried.since,
        }
        for kind, *row, credited in self._rows(_FETCH, parameters):
            match kind:
                case "end":
                    position, stream, _, _, recorded_at, payload = row
                    end = End(position, stream, recorded_at, payload)
                case "key":
                    of_keys.append(_recorded(row))
                case "attempt":
                    _, command, _, caller, at, fingerprint = row
                    attempts.append(Attempt(command, fingerprint, caller, credited, at))
                case "snapshot":
                    position, stream, version, _, _, state = row
                    snapshots.append(
                        StoredSnapshot(stream, version, Account.STATE_VERSION, position, state)
                    )
                case "subject":
                    of_streams.append(_recorded(row))
                case _:
                    of_streams.append(_recorded(row))
                    loaded[row[1]] = loaded.get(row[1], 0) + 1
        unread = [stream for stream, count in loaded.items() if count > MAX_LOADED_EVENTS]
        return Fetched(end, of_keys, snapshots, of_streams, unread, attempts)

    def count_attempt(self, attempt: Attempt, since: datetime, limits: AttemptLimits) -> bool:
        return bool(self._rows(_COUNT_ATTEMPT, (*attempt, since, *limits))[0][0])

    def read(self, first: int, last: int) -> Sequence[Notification]:
        return [_recorded(row) for row in self._rows(_READ, (first, last))]

    def read_stream(self, stream: UUID) -> Sequence[Notification]:
        return [_recorded(row) for row in self._rows(_READ_STREAM, (stream,))]

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Holds the writers' turn on one connection, which every call goes over meanwhile."""
        with self.datastore.get_connection() as conn:
            try:
                conn.execute(f"SET lock_timeout = '{TURN_WAIT}'")
                # Where somebody else's turn lasts we go on: a courtesy, not correctness.
                with suppress(psycopg.errors.LockNotAvailable):
                    conn.execute("SELECT pg_advisory_lock(%s)", (WRITER_TURN_LOCK,))
                conn.execute("SET lock_timeout = 0")
                self._turn = conn
                yield
            finally:
                self._turn = None
                # A broken connection is dropped by the pool, and its lock by the server.
                with suppress(psycopg.Error):
                    conn.execute("SELECT pg_advisory_unlock_all()")

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        rows = self._rows(
            _STREAM.format(order="DESC" if desc else "ASC"),
            {"stream": originator_id, "gt": gt, "lte": lte, "limit": limit},
        )
        return [_recorded(row) for row in rows]

    @contextmanager
    def on_one_connection(self) -> Iterator[LedgerRecorder]:
        with self.datastore.get_connection() as conn:
            recorder = LedgerRecorder(self.datastore)
            recorder._only = conn
            yield recorder

    def load_snapshot(self, stream: UUID) -> StoredSnapshot | None:
        rows = self._rows(_LOAD_SNAPSHOT, (stream, Account.STATE_VERSION))
        return next((StoredSnapshot(*row) for row in rows), None)

    def save_snapshot(self, snapshot: StoredSnapshot) -> None:
        stream, version, state_version, position, state = snapshot
        with self._connection() as conn:
            conn.execute(_SAVE_SNAPSHOT, (stream, version, state_version, position, state))

    def _rows(self, query: str, parameters: Any) -> list[tuple[Any, ...]]:
        with self._connection() as conn, conn.cursor(row_factory=tuple_row, binary=True) as cursor:
            cursor.execute(query.encode(), parameters, prepare=True)
            return cursor.fetchall()

    @contextmanager
    def _connection(self) -> Iterator[Connection[DictRow]]:
        turn = self._turn if self._turn and not self._turn.closed else None
        given = self._only or turn
        if given is None:
            with self.datastore.get_connection() as conn:
                yield conn
            return
        try:
            yield given
        except psycopg.InterfaceError as error:
            raise InterfaceError(str(error)) from error
        except psycopg.OperationalError as error:
            raise OperationalError(str(error)) from error


def _recorded(row: Sequence[Any]) -> RecordedEvent:
    position, stream, version, topic, recorded_at, payload = row
    return RecordedEvent(
        originator_id=stream,
        originator_version=version,
        topic=topic,
        state=payload,
        id=position,
        recorded_at=recorded_at,
    )


class StoreFactory(InfrastructureFactory):
    """Gives the library's Application our mapper and our recorder."""

    def __init__(self, datastore: Datastore) -> None:
        super().__init__(Environment("tally"))
        self._datastore = datastore

    def mapper(
        self,
        transcoder: Transcoder | None = None,
        mapper_class: type[Mapper[Any]] | None = None,
    ) -> Mapper[Any]:
        return EventMapper()

    def application_recorder(self) -> LedgerRecorder:
        return LedgerRecorder(self._datastore)

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        return self.application_recorder()

    def process_recorder(self) -> ProcessRecorder:
        raise AssertionError("the projections keep their own checkpoints")

    def tracking_recorder(self, tracking_recorder_class: Any = None) -> Any:
        raise AssertionError("the projections keep their own checkpoints")

    def close(self) -> None:
        self._datastore.close()
