"""Migrations: numbered plain SQL files beside this one, applied in order, each once.

`migrate` runs as the store's owner: a superuser, or (PostgreSQL 15 to 18) a role that may create
roles and owns the database. It makes two roles, which are the server's, not the database's:
`tally_owner` (no login; owns schema `tally` and all in it) and `tally_app` (what everything but
migrations connects as; owns schema `tally_read`, where read models live).
"""

import re
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow, tuple_row

from infrastructure.cannot_start import CannotStart
from infrastructure.locks import MIGRATION_LOCK

OWNER: Final = "tally_owner"
APP: Final = "tally_app"

_NAME = re.compile(r"(?P<number>[0-9]{4})_(?P<name>[a-z0-9_]+)\.sql")

_CREATE_TABLE = """
    CREATE TABLE IF NOT EXISTS tally.migrations (
        number     integer     PRIMARY KEY,
        name       text        NOT NULL,
        checksum   text        NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    )
"""


class MigrationRefused(CannotStart):
    """The store is not what these migrations were made for."""


class Migration(NamedTuple):
    number: int
    name: str
    checksum: str
    """SHA-256 of the file, in hexadecimal."""
    script: bytes


def migrations() -> list[Migration]:
    """Every migration of this version, in order; numbered 1, 2, 3 … without a gap."""
    found = []
    for file in files(__name__).iterdir():
        if match := _NAME.fullmatch(file.name):
            script = file.read_bytes()
            checksum = sha256(script).hexdigest()
            found.append(Migration(int(match["number"]), match["name"], checksum, script))
    found.sort()
    assert [each.number for each in found] == list(range(1, len(found) + 1)), "a gap, or a twin"
    return found


def migrate(
    owner_dsn: str,
    *,
    ledger: str,
    app_password: str | None,
    known: Sequence[Migration] | None = None,
) -> list[str]:
    """Brings the store up to this version, in one transaction; gives the names of what it applied.

    `ledger` is fixed by the first migration; `app_password` becomes that of `tally_app` where it
    is given. `known` is for tests. Raises MigrationRefused, and psycopg.Error.
    """
    wanted = migrations() if known is None else known
    with psycopg.connect(owner_dsn, connect_timeout=10, row_factory=tuple_row) as conn:
        conn.execute("SET lock_timeout = '60s'")
        conn.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
        _make_roles(conn, app_password)
        _make_schemas(conn)
        conn.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(OWNER)))
        conn.execute(_CREATE_TABLE)
        pending = unapplied(conn, wanted)
        for each in pending:
            conn.execute(each.script)
            conn.execute(
                "INSERT INTO tally.migrations (number, name, checksum) VALUES (%s, %s, %s)",
                (each.number, each.name, each.checksum),
            )
        conn.execute(
            "INSERT INTO tally.ledger (name) VALUES (%s) ON CONFLICT ((true)) DO NOTHING", (ledger,)
        )
        if (name := _value(conn, "SELECT name FROM tally.ledger")) != ledger:
            raise MigrationRefused(
                f"this store holds the ledger {name!r}, not {ledger!r}: set TALLY_LEDGER={name}, "
                "or give another database"
            )
    return [f"{each.number:04}_{each.name}" for each in pending]


def unapplied(conn: Connection[Any], wanted: Sequence[Migration]) -> list[Migration]:
    """The migrations still to apply; raises MigrationRefused where those applied are others."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        cursor.execute("SELECT number, name, checksum FROM tally.migrations ORDER BY number")
        applied = cursor.fetchall()
    for (number, name, checksum), ours in zip(applied, wanted, strict=False):
        if (number, checksum) != (ours.number, ours.checksum):
            raise MigrationRefused(
                f"migration {number:04}_{name} was applied with another content than this "
                f"version's {ours.number:04}_{ours.name}: run the version that made this store"
            )
    if len(applied) > len(wanted):
        number, name, _ = applied[len(wanted)]
        raise MigrationRefused(
            f"this store was migrated by a newer version ({number:04}_{name}): "
            "run that version, or a later one"
        )
    return list(wanted[len(applied) :])


def _make_roles(conn: Connection[TupleRow], app_password: str | None) -> None:
    _make_role(conn, OWNER, sql.SQL("NOLOGIN"))
    _make_role(conn, APP, sql.SQL("LOGIN"))
    if _value(
        conn,
        "SELECT rolsuper OR pg_has_role(oid, %s, 'MEMBER') FROM pg_roles WHERE rolname = %s",
        OWNER,
        APP,
    ):
        raise MigrationRefused(
            f"{APP} is a superuser or a member of {OWNER}: it could change events; take that away"
        )
    if app_password is not None:
        # Hashed here, so that the password reaches neither the server nor its log.
        verifier = conn.pgconn.encrypt_password(
            app_password.encode(), APP.encode(), b"scram-sha-256"
        )
        conn.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(APP), verifier.decode())
        )


def _make_role(conn: Connection[TupleRow], name: str, login: sql.SQL) -> None:
    role = sql.Identifier(name)
    if not _value(conn, "SELECT 1 FROM pg_roles WHERE rolname = %s", name):
        try:
            with conn.transaction():
                conn.execute(sql.SQL("CREATE ROLE {} {} NOINHERIT").format(role, login))
        except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
            pass  # made meanwhile, for another database of this server
    # To make what the role shall own, one has to be able to become it; a superuser is. Since
    # PostgreSQL 16 whoever makes a role is a member that may not SET ROLE to it.
    able = "SET" if conn.info.server_version >= 160_000 else "MEMBER"
    if not _value(conn, "SELECT pg_has_role(%s, %s)", name, able):
        conn.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(role))


def _make_schemas(conn: Connection[TupleRow]) -> None:
    for schema, owner in (("tally", OWNER), ("tally_read", APP)):
        found = _value(
            conn, "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = %s", schema
        )
        if found is None:
            conn.execute(
                sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(
                    sql.Identifier(schema), sql.Identifier(owner)
                )
            )
        elif found != owner:
            raise MigrationRefused(
                f"schema {schema} of this database belongs to {found}, not to {owner}: "
                "give another database"
            )
    if _value(conn, "SELECT has_schema_privilege(%s, 'public', 'CREATE')", APP):
        # A database that came from PostgreSQL 14 or before lets everybody create there.
        conn.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")


def _value(conn: Connection[TupleRow], query: str, *parameters: object) -> Any:
    row = conn.execute(query.encode(), parameters or None).fetchone()
    return row[0] if row else None
