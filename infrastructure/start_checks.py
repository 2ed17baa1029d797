"""What every process checks of the store before it starts on it, as the application's role."""

from datetime import datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg import Connection
from psycopg.rows import tuple_row

from infrastructure.cannot_start import CannotStart
from infrastructure.migrations import APP, migrations, unapplied

MOST_AHEAD: Final = timedelta(minutes=5)
"""Of this machine's clock to the database's: what Kerberos lets clocks differ (RFC 4120, 8.2)."""


class NotMigrated(CannotStart):
    """The store lacks migrations."""


class WrongLedger(CannotStart):
    """The store holds another ledger."""


class TooPrivileged(CannotStart):
    """The role connected as could change what was recorded."""


class NotDurable(CannotStart):
    """The server may lose what it said it has."""


class ClockAhead(CannotStart):
    """Events would be recorded at times yet to come, and none after them earlier."""


def check_store(conn: Connection[Any], *, ledger: str) -> None:
    """All of the checks below, in the order in which they help."""
    check_migrated(conn)
    check_ledger(conn, ledger)
    check_privileges(conn)
    check_durability(conn)


def check_migrated(conn: Connection[Any]) -> None:
    """Raises NotMigrated, or MigrationRefused for a store of another version than ours."""
    try:
        with conn.transaction():
            pending = unapplied(conn, migrations())
    except (
        psycopg.errors.UndefinedTable,
        psycopg.errors.InvalidSchemaName,
        psycopg.errors.InsufficientPrivilege,
    ):
        raise NotMigrated("this database holds no ledger yet: run `tally migrate`") from None
    if pending:
        raise NotMigrated(f"{len(pending)} migrations are missing: run `tally migrate`")


def check_ledger(conn: Connection[Any], name: str) -> None:
    """Raises WrongLedger where the store's name is another."""
    found = _value(conn, "SELECT name FROM tally.ledger")
    if found != name:
        raise WrongLedger(
            f"this store holds the ledger {found!r}, not {name!r}: set TALLY_LEDGER={found}, "
            "or give another database"
        )


def check_privileges(conn: Connection[Any]) -> None:
    """Raises TooPrivileged where an event could be written but by tally.append, or be changed."""
    # As any role that it may become, too: without INHERIT a member has no privilege until then.
    # The role of the session, since whoever has set another one may set it back.
    role = _value(
        conn,
        "SELECT session_user WHERE EXISTS (SELECT FROM pg_roles"
        " WHERE pg_has_role(session_user, oid, 'MEMBER') AND has_table_privilege("
        "oid, 'tally.events', 'INSERT, UPDATE, DELETE, TRUNCATE'))",
    )
    if role is not None:
        raise TooPrivileged(
            f"the role {role} may change events, as nothing but migrations should: name {APP} in "
            "TALLY_DSN; the owner's DSN is for `tally migrate` and `tally up --dsn`"
        )


def check_durability(conn: Connection[Any]) -> None:
    """Raises NotDurable, naming the setting, where a crash could lose what was acknowledged."""
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        if _value(conn, f"SELECT current_setting('{setting}')") == "off":
            raise NotDurable(
                f"the PostgreSQL setting {setting} is off, so a crash can lose payments that were "
                "answered: turn it on"
            )


def check_clock(conn: Connection[Any], now: datetime) -> None:
    """Raises ClockAhead where `now`, of who is to decide, is far past the database's clock.

    It would never be mended: holds expire and scheduled payments are settled for good, and recorded
    times wait there. One that is behind does no harm: they don't step back.
    """
    ahead = now - _value(conn, "SELECT clock_timestamp()")
    if ahead > MOST_AHEAD:
        raise ClockAhead(
            f"this machine's clock is {ahead.total_seconds():,.0f} s ahead of the database's, and "
            "what is recorded at a wrong time stays so: set the wrong one of them right (NTP)"
        )


def _value(conn: Connection[Any], query: str) -> Any:
    with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(query.encode()).fetchone()
    return row[0] if row else None
