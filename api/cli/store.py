"""How a command reaches the store: by DSN, or by the folder of `tally up`."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from api.cli.folder import Folder
from api.cli.itself import environment
from api.cli.output import CannotRun
from api.composition.clock import clock
from infrastructure.embedded import EmbeddedPostgres
from infrastructure.keys import ROLES, create_key
from infrastructure.migrations import APP, migrate
from infrastructure.secret import Secrets, accept_secret
from infrastructure.settings import Settings
from infrastructure.start_checks import check_clock, check_store


@contextmanager
def opened_store(settings: Settings) -> Iterator[str]:
    """The application's DSN. An embedded server is started where nobody runs it, and stopped.

    Raises CannotRun where there is no store, and CannotStart.
    """
    folder = Folder(settings.data)
    if settings.dsn is not None:
        yield settings.dsn.get_secret_value()
    elif folder.dsn_file.exists():
        yield folder.dsn_file.read_text().strip()
    elif (folder.path / "pg").exists():
        with EmbeddedPostgres(folder.path) as server:
            yield app_dsn(server.owner_dsn, folder)
    else:
        raise CannotRun(f"there is no store in {settings.data}: start `tally up`, or set TALLY_DSN")


def connect(dsn: str) -> psycopg.Connection:
    """A connection of a command that does one thing, in autocommit mode."""
    return psycopg.connect(dsn, autocommit=True, connect_timeout=10, application_name="tally cli")


def app_dsn(owner_dsn: str, folder: Folder) -> str:
    """The DSN of tally_app on the database of the owner's, with the password kept in the folder."""
    return make_conninfo(owner_dsn, user=APP, password=folder.password())


def secrets_of(settings: Settings) -> Secrets:
    """The secret that is set, or the one kept in the data folder, made there the first time."""
    if settings.secret is None:
        folder = Folder(settings.data)
        folder.make()
        current = folder.secret()
    else:
        current = settings.secret.get_secret_value()
    previous = settings.secret_previous
    return Secrets(current, previous.get_secret_value() if previous else None)


def check(dsn: str, settings: Settings, secrets: Secrets) -> None:
    """Raises CannotStart where this store is not ours to serve, or is not safe."""
    with connect(dsn) as conn:
        check_store(conn, ledger=settings.ledger)
        check_clock(conn, clock())
        accept_secret(conn, secrets)


def migrated(settings: Settings, owner_dsn: str) -> list[str]:
    """Migrates the store; tally_app gets the password kept in the folder. Gives what was new."""
    folder = Folder(settings.data)
    applied = migrate(owner_dsn, ledger=settings.ledger, app_password=folder.password())
    if settings.owner_dsn is None:
        folder.dsn_file.unlink(missing_ok=True)
    else:
        folder.keep_dsn(app_dsn(owner_dsn, folder))
    return applied


def first_keys(settings: Settings, dsn: str, secrets: Secrets) -> dict[str, str] | None:
    """Makes a key per role at the first start and keeps them; None where they are there."""
    folder = Folder(settings.data)
    if folder.keys() is not None:
        return None
    with connect(dsn) as conn:
        made: dict[str, str] = {
            role: create_key(conn, secrets.current, caller=role, role=role, clock=clock)[1]
            for role in ROLES
        }
    folder.keep_keys(made)
    return made


def environment_of_parts(settings: Settings, dsn: str, secrets: Secrets) -> dict[str, str]:
    """Settings for our processes; the owner's DSN is kept from them."""
    given = environment()
    given.pop("TALLY_OWNER_DSN", None)
    return given | {
        "TALLY_DATA": os.fspath(settings.data.absolute()),
        "TALLY_DSN": dsn,
        "TALLY_SECRET": secrets.current,
    }


def password_in(dsn: str) -> str | None:
    """The password that a DSN of tally_app holds; None where it has none, or is of another."""
    parts = conninfo_to_dict(dsn)
    password = parts.get("password")
    return str(password) if password and parts.get("user") == APP else None
