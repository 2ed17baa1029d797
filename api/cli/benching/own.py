"""A ledger of the benchmark's own: the embedded server in a folder that is gone afterwards, and on
it stores that all begin as one that is prepared."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from api.cli.benching.cpu import Processes
from api.cli.folder import Folder
from api.cli.itself import PROGRAM
from api.cli.listening import listening, url_of
from api.cli.output import say
from api.cli.product import Product
from api.cli.store import app_dsn, environment_of_parts, first_keys, migrated, secrets_of
from api.cli.up import parts_of, ready
from api.supervisor import StopSignals, Supervisor
from infrastructure.embedded import DATABASE, EmbeddedPostgres
from infrastructure.settings import Settings


class Running(NamedTuple):
    """A product that runs on a store of ours."""

    product: Product
    processes: Processes


class OwnLedger:
    """Made by `own_ledger`."""

    def __init__(self, settings: Settings, server: EmbeddedPostgres, signals: StopSignals) -> None:
        self.server = server
        self._settings = settings
        self._folder = Folder(settings.data)
        self._signals = signals
        self._secrets = secrets_of(settings)
        migrated(settings, server.owner_dsn)
        self.prepared = self.dsn(DATABASE)
        first_keys(settings, self.prepared, self._secrets)

    def dsn(self, store: str) -> str:
        """Of a store, as the application's role."""
        return make_conninfo(app_dsn(self.server.owner_dsn, self._folder), dbname=store)

    def database(self, *, like: str = "template1") -> str:
        """Makes a database, by default an empty one, and gives its name."""
        name = f"bench_{secrets.token_hex(4)}"
        with psycopg.connect(self.owner_dsn("postgres"), autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                    sql.Identifier(name), sql.Identifier(like)
                )
            )
        return name

    def owner_dsn(self, database: str) -> str:
        return make_conninfo(self.server.owner_dsn, dbname=database)

    @contextmanager
    def running(
        self, dsn: str, *, workers: bool, settings: Mapping[str, str] | None = None
    ) -> Iterator[Running]:
        """The API on that store, with or without projection workers, as long as the block runs."""
        with ExitStack() as stack:
            listener = stack.enter_context(listening("127.0.0.1", 0))
            pids: dict[str, int] = {}
            supervisor = Supervisor(
                parts_of(listener, workers=workers, mirror=False),
                program=PROGRAM,
                environment=environment_of_parts(self._settings, dsn, self._secrets)
                | {"TALLY_FEED": "store"}
                | dict(settings or {}),
                logs=self._folder.logs,
                say=say,
                changed=pids.update,
            )
            stack.callback(supervisor.stop)
            supervisor.start()
            url = url_of(listener)
            if not ready(url, supervisor, self._signals):
                raise KeyboardInterrupt
            keys = self._folder.keys()
            postgres = self.server.pid
            assert keys is not None
            assert postgres is not None
            yield Running(
                Product(url=url, key=keys["client"], admin_key=keys["admin"]),
                Processes(pids, postgres),
            )


@contextmanager
def own_ledger() -> Iterator[OwnLedger]:
    """Gone with all it holds when the block ends."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tally-bench-")))
        # As root, the embedded server runs as another user, who has to get through.
        folder.chmod(0o711)
        settings = Settings.load(data=folder / "tally")
        Folder(settings.data).make()
        signals = stack.enter_context(StopSignals())
        server = stack.enter_context(EmbeddedPostgres(settings.data))
        yield OwnLedger(settings, server, signals)
