"""Migrations: roles and schemas, applied once, and refused where the store is another's."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from freezegun import freeze_time
from psycopg.conninfo import make_conninfo

from api.cli.store import check
from infrastructure import locks
from infrastructure.migrations import APP, Migration, MigrationRefused, migrate, migrations
from infrastructure.secret import Secrets
from infrastructure.settings import Settings
from infrastructure.start_checks import (
    MOST_AHEAD,
    ClockAhead,
    NotDurable,
    NotMigrated,
    TooPrivileged,
    WrongLedger,
    check_durability,
    check_ledger,
    check_migrated,
    check_privileges,
    check_store,
)
from projections.checkpoints import ADVISORY_CLASS
from tests.fixtures.fix_postgres import Cluster, Store

LATER = Migration(len(migrations()) + 1, "later", "its checksum", b"CREATE TABLE tally.later ()")
ALL = [f"{each.number:04}_{each.name}" for each in migrations()]
LATER_NAME = f"{LATER.number:04}_{LATER.name}"


@pytest.fixture
def database(each_cluster: Cluster) -> Iterator[str]:
    name = each_cluster.create()
    yield each_cluster.dsn(name)
    each_cluster.drop(name)


def _migrate(dsn: str, known: list[Migration] | None = None) -> list[str]:
    return migrate(dsn, ledger="main", app_password=None, known=known)


def test_every_migration_is_applied_once(database: str) -> None:
    assert _migrate(database) == ALL
    assert _migrate(database) == []


def test_a_later_migration_is_applied_to_an_older_store(database: str) -> None:
    _migrate(database)
    assert _migrate(database, [*migrations(), LATER]) == [LATER_NAME]


def test_a_migration_that_fails_leaves_nothing(database: str) -> None:
    broken = LATER._replace(script=b"CREATE TABLE tally.later (); SELECT 1 / 0")
    with pytest.raises(psycopg.errors.DivisionByZero):
        _migrate(database, [*migrations(), broken])
    with psycopg.connect(database) as conn:
        row = conn.execute("SELECT count(*) FROM pg_namespace WHERE nspname ~ 'tally'").fetchone()
    assert row == (0,)


def test_two_processes_may_migrate_at_once(database: str) -> None:
    barrier = threading.Barrier(2)

    def migrate_together(_: int) -> list[str]:
        barrier.wait(10)
        return _migrate(database)

    with ThreadPoolExecutor(2) as threads:
        applied = sorted(threads.map(migrate_together, range(2)))
    assert applied == [[], ALL]


def test_a_changed_migration_is_refused(fresh_store: Store) -> None:
    changed = migrations()[0]._replace(checksum="of another content")
    with pytest.raises(MigrationRefused, match="0001_ledger was applied with another content"):
        _migrate(fresh_store.owner_dsn, [changed])


def test_a_store_of_a_newer_version_is_refused(fresh_store: Store) -> None:
    _migrate(fresh_store.owner_dsn, [*migrations(), LATER])
    with pytest.raises(MigrationRefused, match=rf"newer version \({LATER_NAME}\)"):
        _migrate(fresh_store.owner_dsn)
    with (
        psycopg.connect(fresh_store.app_dsn) as conn,
        pytest.raises(MigrationRefused, match="newer version"),
    ):
        check_migrated(conn)


def test_the_name_of_the_ledger_is_fixed_by_the_first_migration(fresh_store: Store) -> None:
    with pytest.raises(MigrationRefused, match="'main', not 'other'"):
        migrate(fresh_store.owner_dsn, ledger="other", app_password=None)


def test_an_owner_that_is_no_superuser_may_migrate(each_cluster: Cluster) -> None:
    name = each_cluster.create()
    owner = f"owner_of_{name}"
    dsn = make_conninfo(each_cluster.dsn(name), user=owner, password="its password")
    with psycopg.connect(each_cluster.owner_dsn, autocommit=True) as conn:
        conn.execute(f"CREATE ROLE {owner} LOGIN CREATEROLE PASSWORD 'its password'".encode())
        conn.execute(f"ALTER DATABASE {name} OWNER TO {owner}".encode())
        # The roles exist already, made by another: since PostgreSQL 16 they must be granted.
        conn.execute(f"GRANT tally_owner, tally_app TO {owner} WITH ADMIN OPTION".encode())
    try:
        assert _migrate(dsn) == ALL
        assert _migrate(dsn) == []
    finally:
        each_cluster.drop(name)
        with psycopg.connect(each_cluster.owner_dsn, autocommit=True) as conn:
            conn.execute(f"DROP OWNED BY {owner} CASCADE".encode())
            conn.execute(f"DROP ROLE {owner}".encode())


def test_a_schema_of_somebody_else_is_refused(empty_database: str) -> None:
    with psycopg.connect(empty_database) as conn:
        conn.execute("CREATE SCHEMA tally_read")
    with pytest.raises(MigrationRefused, match="schema tally_read of this database belongs to"):
        _migrate(empty_database)


def test_everything_in_the_schema_belongs_to_the_owner_role(each_store: Store) -> None:
    with psycopg.connect(each_store.owner_dsn) as conn:
        owners = conn.execute(
            """
            SELECT relowner::regrole::text FROM pg_class
            WHERE relnamespace = 'tally'::regnamespace
            UNION
            SELECT proowner::regrole::text FROM pg_proc
            WHERE pronamespace = 'tally'::regnamespace
            """
        ).fetchall()
        schemas = conn.execute(
            "SELECT nspname, nspowner::regrole::text FROM pg_namespace WHERE nspname ~ '^tally'"
        ).fetchall()
    assert owners == [("tally_owner",)]
    assert sorted(schemas) == [("tally", "tally_owner"), ("tally_read", "tally_app")]


def test_the_functions_are_pinned_and_not_everybody_s(each_store: Store) -> None:
    with psycopg.connect(each_store.owner_dsn) as conn:
        functions = conn.execute(
            """
            SELECT proname, prosecdef, proconfig, has_function_privilege('public', oid, 'EXECUTE'),
                has_function_privilege('tally_app', oid, 'EXECUTE')
            FROM pg_proc WHERE pronamespace = 'tally'::regnamespace ORDER BY proname
            """
        ).fetchall()
    pinned = ["search_path=pg_catalog, pg_temp"]
    assert functions == [
        ("append", True, pinned, False, True),
        ("count_attempt", True, pinned, False, True),
        ("position_at", False, pinned, False, True),
        ("refuse_change", False, pinned, False, False),
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM tally.attempts",
        "INSERT INTO tally.attempts VALUES (gen_random_uuid(), '', 'c', 'a', now())",
        "UPDATE tally.device_secrets SET handle = '0000000'",
        "TRUNCATE tally.device_secrets",
    ],
)
def test_attempts_and_secrets_are_changed_as_they_are_meant_to_alone(
    fresh_store: Store, statement: str
) -> None:
    with (
        psycopg.connect(fresh_store.app_dsn) as conn,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        conn.execute(statement.encode())


def test_the_numbers_of_the_locks_are_those_of_the_sql() -> None:
    script = migrations()[0].script.decode()
    assert f"pg_advisory_xact_lock({locks.EVENT_APPEND_LOCK})" in script
    assert f"pg_try_advisory_xact_lock_shared({locks.WRITER_TURN_LOCK})" in script
    assert f"pg_advisory_xact_lock_shared({locks.WRITER_TURN_LOCK})" in script
    attempts = next(each for each in migrations() if each.name == "pay_codes").script.decode()
    assert f"pg_advisory_xact_lock({locks.ATTEMPTS_LOCK})" in attempts
    numbers = [number for name, number in vars(locks).items() if name.endswith("_LOCK")]
    numbers.append(ADVISORY_CLASS)
    assert len(numbers) == len(set(numbers)) == 7


def test_read_models_have_a_schema_where_the_application_makes_tables(each_store: Store) -> None:
    with psycopg.connect(each_store.app_dsn) as conn:
        conn.execute("CREATE TABLE tally_read.anything (x bigint)")
        for schema in ("tally", "public"):
            with (
                pytest.raises(psycopg.errors.InsufficientPrivilege),
                conn.transaction(),
            ):
                conn.execute(f"CREATE TABLE {schema}.anything (x bigint)".encode())


@pytest.mark.slow
def test_a_password_that_is_given_is_the_application_s(own_server: str) -> None:
    for password in ("the first", "another"):
        migrate(own_server, ledger="main", app_password=password)
        dsn = make_conninfo(own_server, user=APP, password=password)
        psycopg.connect(dsn).close()
        _migrate(own_server)
        psycopg.connect(dsn).close()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(make_conninfo(dsn, password="the first"))


# What every process checks before it starts ------------------------------------------------


def test_a_migrated_store_passes_every_check(each_store: Store) -> None:
    with psycopg.connect(each_store.app_dsn) as conn:
        check_store(conn, ledger="main")


def test_a_store_without_migrations_says_how_to_migrate(
    empty_database: str, fresh_store: Store
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(empty_database)["dbname"]
    for dsn in (empty_database, make_conninfo(fresh_store.app_dsn, dbname=name)):
        with psycopg.connect(dsn) as conn, pytest.raises(NotMigrated, match="`tally migrate`"):
            check_migrated(conn)


def test_a_store_that_lacks_a_migration_says_how_to_migrate(
    fresh_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = [*migrations(), LATER]
    monkeypatch.setattr("infrastructure.start_checks.migrations", lambda: more)
    with (
        psycopg.connect(fresh_store.app_dsn) as conn,
        pytest.raises(NotMigrated, match="`tally migrate`"),
    ):
        check_migrated(conn)


def test_another_ledger_s_store_is_refused(fresh_store: Store) -> None:
    with (
        psycopg.connect(fresh_store.app_dsn) as conn,
        pytest.raises(WrongLedger, match="set TALLY_LEDGER=main"),
    ):
        check_ledger(conn, "other")


def test_an_owner_is_refused_by_every_process(each_store: Store) -> None:
    with (
        psycopg.connect(each_store.owner_dsn) as conn,
        pytest.raises(TooPrivileged, match=r"name tally_app in TALLY_DSN; .* `tally migrate`"),
    ):
        check_store(conn, ledger="main")


def test_an_owner_that_acts_as_the_application_is_refused(each_store: Store) -> None:
    acting = make_conninfo(each_store.owner_dsn, options="-c role=tally_app")
    with psycopg.connect(acting) as conn:
        assert conn.execute("SELECT current_user").fetchone() == ("tally_app",)
        with pytest.raises(TooPrivileged):
            check_privileges(conn)


@pytest.mark.parametrize(
    "privilege",
    [
        "tally_owner",
        "pg_write_all_data",
        *(f"{each} ON tally.events" for each in ("INSERT", "UPDATE", "DELETE", "TRUNCATE")),
    ],
)
def test_a_role_that_could_change_events_is_refused_by_name(
    each_store: Store, privilege: str
) -> None:
    role = f"role_of_{each_store.name}"
    as_role = make_conninfo(each_store.owner_dsn, user=role, password="its password")
    with psycopg.connect(each_store.owner_dsn, autocommit=True) as conn:
        conn.execute(f"CREATE ROLE {role} LOGIN NOINHERIT PASSWORD 'its password'".encode())
        try:
            conn.execute(f"GRANT USAGE ON SCHEMA tally TO {role}".encode())
            with psycopg.connect(as_role) as granted:
                check_privileges(granted)
                conn.execute(f"GRANT {privilege} TO {role}".encode())
                with pytest.raises(TooPrivileged, match=role):
                    check_privileges(granted)
        finally:
            conn.execute(f"DROP OWNED BY {role}".encode())
            conn.execute(f"DROP ROLE {role}".encode())


def _synchronous_commit_off(conn: psycopg.Connection) -> None:
    conn.execute("SET synchronous_commit = off")


@pytest.mark.parametrize("turn_off", [_synchronous_commit_off])
def test_a_server_that_may_lose_payments_is_refused(
    fresh_store: Store, turn_off: Callable[[psycopg.Connection], None]
) -> None:
    with psycopg.connect(fresh_store.app_dsn) as conn:
        turn_off(conn)
        with pytest.raises(NotDurable, match="synchronous_commit is off"):
            check_durability(conn)


def test_who_would_record_at_times_yet_to_come_is_refused(fresh_store: Store) -> None:
    a_minute, secrets = timedelta(minutes=1), Secrets("a secret of the tests", None)
    settings = Settings.load()

    def check_at(now: datetime) -> None:
        with freeze_time(now):
            check(fresh_store.app_dsn, settings, secrets)

    now = datetime.now(UTC)
    check_at(now + MOST_AHEAD - a_minute)
    check_at(now - timedelta(days=365))  # it has the time of the last event then
    with pytest.raises(ClockAhead, match=r"3[67]\d s ahead .* \(NTP\)"):
        check_at(now + MOST_AHEAD + a_minute + timedelta(seconds=5))
