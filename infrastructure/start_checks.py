"""What every process checks of the store before it starts on it, as the application's role."""

from typing import Any

import psycopg
from psycopg import Connection
from psycopg.rows import tuple_row

from infrastructure.cannot_start import CannotStart
from infrastructure.migrations import migrations, unapplied


class NotMigrated(CannotStart):
    """The store lacks migrations."""


class WrongLedger(CannotStart):
    """The store holds another ledger."""


class NotDurable(CannotStart):
    """The server may lose what it said it has."""


def check_store(conn: Connection[Any], *, ledger: str) -> None:
    """All of the checks below, in the order in which they help."""
    check_migrated(conn)
    check_ledger(conn, ledger)
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


def check_durability(conn: Connection[Any]) -> None:
    """Raises NotDurable, naming the setting, where a crash could lose what was acknowledged."""
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):
        if _value(conn, f"SELECT current_setting('{setting}')") == "off":
            raise NotDurable(
                f"the PostgreSQL setting {setting} is off, so a crash can lose payments that were "
                "answered: turn it on"
            )


def _value(conn: Connection[Any], query: str) -> Any:
    with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(query.encode()).fetchone()
    return row[0] if row else None
