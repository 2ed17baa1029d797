"""A ledger of the benchmark's own: the embedded server in a folder that is gone afterwards, and on
it stores that all begin as copies of one."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from threading import Event
from typing import NamedTuple

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from api.bench.cpu import Processes
from api.cli.folder import Folder, scratch
from api.cli.itself import PROGRAM
from api.cli.listening import listening, url_of
from api.cli.output import CannotRun, say
from api.cli.processes import answers_in_time, api_parts, project_parts
from api.cli.product import Product
from api.cli.store import app_dsn, environment_of_parts, first_keys, migrated, secrets_of
from api.composition.books import reconcile_store
from api.composition.ledger import filled
from api.composition.workers import rebuild_read_model
from api.supervisor import Part, StopSignals, Supervisor
from application.commands import Command
from infrastructure.embedded import DATABASE, EmbeddedPostgres
from infrastructure.reconcile import Report
from infrastructure.settings import Settings
from projections.rebuild import Rebuilt


class Running(NamedTuple):
    """A product that runs on a store of ours."""

    product: Product
    processes: Processes


class OwnLedger:
    """Made by `own_ledger`. Its first store, `DATABASE`, is migrated, and has its keys."""

    def __init__(self, settings: Settings, server: EmbeddedPostgres, signals: StopSignals) -> None:
        self.server = server
        self.folder = Folder(settings.data)
        self._settings = settings
        self._signals = signals
        self._secrets = secrets_of(settings)
        migrated(settings, server.owner_dsn)
        first_keys(settings, self.dsn(DATABASE), self._secrets)

    @property
    def ledger(self) -> str:
        """Its name."""
        return self._settings.ledger

    def dsn(self, database: str) -> str:
        """Of a store, as the application's role."""
        return make_conninfo(app_dsn(self.server.owner_dsn, self.folder), dbname=database)

    def owner_dsn(self, database: str) -> str:
        return make_conninfo(self.server.owner_dsn, dbname=database)

    def database(self, *, like: str = "template1") -> str:
        """Makes a database, a copy of one that nobody uses or an empty one; gives its name."""
        name = f"bench_{secrets.token_hex(4)}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        with psycopg.connect(self.owner_dsn("postgres"), autocommit=True) as connection:
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(like)))
        return name

    def check_on(self) -> None:
        """Raises CannotRun once a signal has asked to stop."""
        if self._signals.asked:
            raise CannotRun("stopped")

    @contextmanager
    def running(
        self, dsn: str, *, workers: bool, settings: Mapping[str, str] | None = None
    ) -> Iterator[Running]:
        """The product on that store, with or without projection workers, as long as the block
        runs."""
        with ExitStack() as stack:
            listener = stack.enter_context(listening("127.0.0.1", 0))
            api = stack.enter_context(api_parts(listener, workers=self._settings.serve_workers))
            parts = [*api.parts, *(project_parts() if workers else ())]
            settings = {**(settings or {}), **api.environment}
            supervisor, pids = stack.enter_context(self._supervised(parts, dsn, settings))
            url = url_of(listener)
            if not answers_in_time(url, supervisor, self._signals):
                raise CannotRun("stopped")
            keys = self.folder.keys()
            assert keys is not None
            yield Running(
                Product(url=url, key=keys["client"], admin_key=keys["admin"]),
                self._processes(pids),
            )

    @contextmanager
    def projecting(self, dsn: str, names: Sequence[str]) -> Iterator[Processes]:
        """One process of projection workers on that store, as long as the block runs."""
        part = Part(name="workers", arguments=("project", "--supervised", *names))
        with self._supervised([part], dsn, {}) as (_, pids):
            yield self._processes(pids)

    def filled(self, database: str, commands: Iterable[Command], *, accounts: int) -> Iterator[int]:
        """A store of ours with what these commands come to, without HTTP, by this process; gives
        how many are decided so far."""
        settings = self._settings.model_copy(update={"cache_accounts": accounts})
        return filled(settings, commands, owner_dsn=self.owner_dsn(database))

    def rebuilt(self, dsn: str, name: str) -> Rebuilt:
        """A read model, by this process."""
        return rebuild_read_model(
            self._settings, name, dsn=dsn, stop=Event(), progress=lambda _: None
        )

    def reconciled(self, dsn: str) -> Report:
        return reconcile_store(self._settings, dsn=dsn, kafka=False, progress=lambda *_: None)

    def size(self, dsn: str) -> int:
        """Bytes of a store's events on disk, with their indexes."""
        with psycopg.connect(dsn) as connection:
            row = connection.execute("SELECT pg_total_relation_size('tally.events')").fetchone()
        assert row is not None
        return int(row[0])

    @contextmanager
    def _supervised(
        self, parts: Sequence[Part], dsn: str, settings: Mapping[str, str]
    ) -> Iterator[tuple[Supervisor, dict[str, int]]]:
        """With the pids. What dies stays dead: nobody watches, and the load breaks off."""
        pids: dict[str, int] = {}
        supervisor = Supervisor(
            parts,
            program=PROGRAM,
            environment={
                **environment_of_parts(self._settings, dsn, self._secrets),
                "TALLY_FEED": self._settings.feed,
                **settings,
            },
            logs=self.folder.logs,
            say=say,
            changed=pids.update,
        )
        try:
            supervisor.start()
            yield supervisor, pids
        finally:
            supervisor.stop()

    def _processes(self, pids: Mapping[str, int]) -> Processes:
        assert self.server.pid is not None
        return Processes(pids, self.server.pid)


@contextmanager
def own_ledger() -> Iterator[OwnLedger]:
    """Gone with all it holds when the block ends."""
    with ExitStack() as stack:
        settings = Settings.load(data=stack.enter_context(scratch("bench")), feed="store")
        Folder(settings.data).make()
        signals = stack.enter_context(StopSignals())
        server = stack.enter_context(EmbeddedPostgres(settings.data))
        yield OwnLedger(settings, server, signals)
