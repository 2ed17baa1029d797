"""The append function: a compare-and-set on the end of the store, the only way to add events."""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from infrastructure.locks import EVENT_APPEND_LOCK, WRITER_TURN_LOCK
from tests.fixtures.fix_postgres import Cluster, Store

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
def conn(each_store: Store) -> Iterator[psycopg.Connection]:
    with psycopg.connect(each_store.app_dsn, autocommit=True) as made:
        yield made


@pytest.fixture
def other(each_store: Store) -> Iterator[psycopg.Connection]:
    with psycopg.connect(each_store.app_dsn, autocommit=True) as made:
        yield made


Last = tuple[UUID | None, datetime | None, bytes | None]


def last_at(conn: psycopg.Connection, position: int) -> Last:
    """Stream, recorded time and payload of the event there."""
    found = conn.execute(
        "SELECT stream, recorded_at, payload FROM tally.events WHERE position = %s", (position,)
    ).fetchone()
    return found or (None, None, None)


def append(
    conn: psycopg.Connection,
    decided_at: int,
    count: int = 1,
    *,
    last: Last | None = None,
    at: datetime | str = NOON,
    streams: Sequence[UUID] | None = None,
    versions: Sequence[int] | None = None,
) -> int | None:
    streams = [uuid4() for _ in range(count)] if streams is None else streams
    row = conn.execute(
        "SELECT tally.append(%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            decided_at,
            *(last or last_at(conn, decided_at)),
            at,
            list(streams),
            [1] * len(streams) if versions is None else versions,
            [f"type {number}" for number in range(len(streams))],
            [b"%d" % number for number in range(len(streams))],
        ),
    ).fetchone()
    assert row is not None
    found: int | None = row[0]
    return found


def rows(conn: psycopg.Connection, columns: str = "position") -> list[Any]:
    found = conn.execute(f"SELECT {columns} FROM tally.events ORDER BY position".encode())
    return [row[0] if len(row) == 1 else row for row in found]


def test_events_get_the_next_positions_in_the_order_given(conn: psycopg.Connection) -> None:
    assert append(conn, 0, 3) == 3
    assert append(conn, 3, 2) == 5
    assert rows(conn, "position, type, payload") == [
        (1, "type 0", b"0"),
        (2, "type 1", b"1"),
        (3, "type 2", b"2"),
        (4, "type 0", b"0"),
        (5, "type 1", b"1"),
    ]


def test_nothing_is_inserted_where_the_end_is_another(conn: psycopg.Connection) -> None:
    append(conn, 0, 3)
    for decided_at in (0, 2, 4, -1):
        assert append(conn, decided_at) is None
    assert rows(conn) == [1, 2, 3]


def test_nothing_is_inserted_where_the_event_at_the_end_is_another(
    conn: psycopg.Connection,
) -> None:
    append(conn, 0, 3)
    stream, at, payload = last_at(conn, 3)
    assert (at, payload) == (NOON, b"2")
    for last in (
        (uuid4(), at, payload),
        (stream, NOON + timedelta(microseconds=1), payload),
        (stream, at, b"3"),
        (None, None, None),
    ):
        assert append(conn, 3, last=last) is None
    assert append(conn, 3, last=(stream, at, payload)) == 4


def test_all_or_nothing_is_appended(conn: psycopg.Connection) -> None:
    stream = uuid4()
    append(conn, 0, streams=[stream])
    with pytest.raises(psycopg.errors.UniqueViolation):
        append(conn, 1, streams=[uuid4(), stream, uuid4()])
    assert append(conn, 1, 2) == 3
    assert rows(conn) == [1, 2, 3]


def test_recorded_time_may_stand_still_but_never_steps_back(conn: psycopg.Connection) -> None:
    append(conn, 0)
    append(conn, 1)
    with pytest.raises(psycopg.errors.RaiseException, match="recorded time steps back"):
        append(conn, 2, at=NOON - timedelta(microseconds=1))
    assert append(conn, 2, at=NOON + timedelta(microseconds=1)) == 3


@pytest.mark.parametrize(
    "at", ["infinity", "-infinity", "10000-01-01 00:00:00+00", "0001-12-31 23:59:59+00 BC"]
)
def test_a_time_after_which_nothing_could_be_recorded_is_refused(
    conn: psycopg.Connection, at: str
) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match="years 1 to 9999"):
        append(conn, 0, at=at)
    assert append(conn, 0, at=datetime.min.replace(tzinfo=UTC)) == 1
    assert append(conn, 1, at=datetime.max.replace(tzinfo=UTC)) == 2


@pytest.mark.parametrize(("streams", "versions"), [([], []), ([uuid4()], [1, 2])])
def test_arrays_that_do_not_fit_are_our_mistake(
    conn: psycopg.Connection, streams: list[UUID], versions: list[int]
) -> None:
    with pytest.raises(psycopg.errors.RaiseException, match="arrays of one length"):
        append(conn, 0, streams=streams, versions=versions)


def test_a_snapshot_taken_before_the_lock_is_our_mistake(conn: psycopg.Connection) -> None:
    conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with conn.transaction(), pytest.raises(psycopg.errors.RaiseException, match="READ COMMITTED"):
        append(conn, 0)


def test_an_append_that_is_rolled_back_leaves_no_gap(conn: psycopg.Connection) -> None:
    with conn.transaction(force_rollback=True):
        append(conn, 0, 5)
    assert append(conn, 0, 2) == 2
    assert rows(conn) == [1, 2]


def test_of_two_that_race_for_a_position_one_is_told(each_store: Store) -> None:
    appended: list[list[tuple[int, int]]] = [[], []]
    barrier = threading.Barrier(2)

    def race(number: int) -> None:
        with psycopg.connect(each_store.app_dsn, autocommit=True) as conn:
            barrier.wait(10)
            end = 0
            for size in [1, 2, 3] * 30:
                while (new_end := append(conn, end, size)) is None:
                    end = rows(conn, "max(position) OVER ()")[-1]
                appended[number].append((end, new_end))
                end = new_end

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(race, range(2)))
    taken = sorted(appended[0] + appended[1])
    assert [begin for begin, _ in taken] == [0, *(end for _, end in taken[:-1])]
    with psycopg.connect(each_store.app_dsn) as conn:
        assert rows(conn) == list(range(1, taken[-1][1] + 1))
        assert taken[-1][1] == 360


def test_one_append_waits_for_the_other_s_commit(
    conn: psycopg.Connection, other: psycopg.Connection
) -> None:
    with ThreadPoolExecutor(1) as thread:
        with conn.transaction():
            append(conn, 0, 2)
            waiting = thread.submit(append, other, 2, last=last_at(conn, 2))
            time.sleep(0.1)
            assert not waiting.done()
        assert waiting.result(10) == 3


def test_a_client_that_vanishes_in_mid_append_blocks_nobody(
    each_store: Store, other: psycopg.Connection
) -> None:
    gone = psycopg.connect(each_store.app_dsn)
    append(gone, 0, 2)
    gone.pgconn.finish()  # the line is cut: no COMMIT, no ROLLBACK
    other.execute("SET statement_timeout = '5s'")
    assert append(other, 0) == 1


def test_one_notification_an_append_carries_the_new_end(
    conn: psycopg.Connection, other: psycopg.Connection
) -> None:
    other.execute("LISTEN tally_events")
    append(conn, 0, 3)
    append(conn, 0, 3)
    append(conn, 3, 4)
    assert [note.payload for note in other.notifies(timeout=5, stop_after=2)] == ["3", "7"]
    assert list(other.notifies(timeout=0.1)) == []


# The turn of a writer that lost a race -----------------------------------------------------


def test_who_has_the_turn_goes_first(conn: psycopg.Connection, other: psycopg.Connection) -> None:
    conn.execute("SELECT pg_advisory_lock(%s)", (WRITER_TURN_LOCK,))
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(append, other, 0)
        time.sleep(0.1)
        assert append(conn, 0, 2) == 2
        assert not waiting.done()
        conn.execute("SELECT pg_advisory_unlock(%s)", (WRITER_TURN_LOCK,))
        assert waiting.result(10) is None


def test_a_turn_is_waited_for_half_a_second_at_most(
    conn: psycopg.Connection, other: psycopg.Connection
) -> None:
    conn.execute("SELECT pg_advisory_lock(%s)", (WRITER_TURN_LOCK,))
    began = time.monotonic()
    assert append(other, 0) == 1
    assert 0.4 < time.monotonic() - began < 5


def test_after_the_turn_the_caller_s_own_patience_counts(
    conn: psycopg.Connection, other: psycopg.Connection
) -> None:
    other.execute("SET lock_timeout = '1s'")
    conn.execute("SELECT pg_advisory_lock(%s)", (WRITER_TURN_LOCK,))
    conn.execute("SELECT pg_advisory_lock(%s)", (EVENT_APPEND_LOCK,))
    began = time.monotonic()
    with pytest.raises(psycopg.errors.LockNotAvailable):
        append(other, 0)
    assert 1.4 < time.monotonic() - began < 5
    assert other.execute("SHOW lock_timeout").fetchone() == ("1s",)


def test_two_appends_share_the_turn(conn: psycopg.Connection, other: psycopg.Connection) -> None:
    with conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock_shared(%s)", (WRITER_TURN_LOCK,))
        assert append(other, 0) == 1


# What the application's role may not do -----------------------------------------------------


@pytest.fixture(scope="module")
def guarded(each_cluster: Cluster) -> Iterator[psycopg.Connection]:
    """A store for all the refusals: none of them changes it."""
    with (
        each_cluster.store() as store,
        psycopg.connect(store.app_dsn, autocommit=True) as made,
    ):
        append(made, 0, 2)
        yield made


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO tally.events VALUES (1, gen_random_uuid(), 1, 't', now(), '')",
        "UPDATE tally.events SET payload = ''",
        "UPDATE tally.events SET position = position + 1",
        "DELETE FROM tally.events",
        "TRUNCATE tally.events",
        "MERGE INTO tally.events USING (SELECT 1 AS p) AS new ON position = p "
        "WHEN MATCHED THEN DELETE",
        "SELECT * FROM tally.events FOR UPDATE",
        "LOCK TABLE tally.events IN EXCLUSIVE MODE",
        "DROP TABLE tally.events",
        "ALTER TABLE tally.events DISABLE TRIGGER ALL",
        "CREATE INDEX ON tally.events (type)",
        "CREATE TABLE tally.more ()",
        "CREATE OR REPLACE FUNCTION tally.position_at(at timestamptz) RETURNS bigint "
        "LANGUAGE sql AS 'SELECT 1::bigint'",
        "DROP FUNCTION tally.position_at",
        "UPDATE tally.ledger SET name = 'other'",
        "DELETE FROM tally.ledger",
        "INSERT INTO tally.migrations VALUES (99, 'x', 'x')",
        "SET ROLE tally_owner",
        "SET session_replication_role = replica",
    ],
)
def test_the_application_may_not(guarded: psycopg.Connection, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege), guarded.transaction():
        guarded.execute(statement.encode())
    assert rows(guarded, "position, payload") == [(1, b"0"), (2, b"1")]


def test_the_application_may_not_copy_into_the_events(guarded: psycopg.Connection) -> None:
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        guarded.cursor().copy("COPY tally.events FROM STDIN"),
    ):
        pass


def test_what_the_application_puts_before_the_system_s_names_is_not_called(
    conn: psycopg.Connection,
) -> None:
    """The search path is pinned: what runs as the owner can't be made to run another's code."""
    conn.execute(
        "CREATE FUNCTION tally_read.cardinality(anyarray) RETURNS integer LANGUAGE plpgsql "
        "AS $$ BEGIN RAISE 'called as %', current_user; END $$"
    )
    conn.execute("SET search_path = tally_read, pg_catalog")
    assert append(conn, 0) == 1


# The last position at or before a time ------------------------------------------------------


def test_a_time_finds_the_last_position_recorded_by_then(conn: psycopg.Connection) -> None:
    def position_at(at: datetime) -> int:
        row = conn.execute("SELECT tally.position_at(%s)", (at,)).fetchone()
        assert row is not None
        return int(row[0])

    second = timedelta(seconds=1)
    assert position_at(NOON) == 0
    end = 0
    for number, size in enumerate([3, 1, 4, 1, 5]):
        end = append(conn, end, size, at=NOON + number * 2 * second) or 0
    after = [3, 4, 8, 9, 14]
    assert position_at(NOON - second) == 0
    for number, expected in enumerate(after):
        assert position_at(NOON + number * 2 * second) == expected
        assert position_at(NOON + (number * 2 + 1) * second) == expected
