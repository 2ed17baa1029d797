"""`tally up`: the whole product in one terminal, and nothing left of it afterwards."""

from collections.abc import Callable
from contextlib import ExitStack
from time import monotonic
from typing import Annotated

import typer

from api.cli.folder import Folder
from api.cli.itself import PROGRAM
from api.cli.listening import HostOption, PortOption, listening, url_of
from api.cli.output import AsJson, out, print_json, say, table
from api.cli.processes import WorkersOption, answers_in_time, api_parts, mirror_parts, project_parts
from api.cli.product import DataOption
from api.cli.store import app_dsn, check, environment_of_parts, first_keys, migrated, secrets_of
from api.supervisor import LONGEST_WAIT_S, StopSignals, Supervisor
from infrastructure.embedded import EmbeddedPostgres
from infrastructure.embedded_place import EmbeddedFailed
from infrastructure.settings import Settings


def up(
    data: DataOption = None,
    host: HostOption = None,
    port: PortOption = None,
    dsn: Annotated[
        str | None,
        typer.Option(
            help="Owner's DSN of a PostgreSQL of yours, in place of the embedded one; better "
            "given as TALLY_OWNER_DSN: others see a command's arguments."
        ),
    ] = None,
    workers: WorkersOption = None,
    as_json: AsJson = False,
) -> None:
    """Runs PostgreSQL, migrations, the API, the projection workers and, where TALLY_KAFKA_BOOTSTRAP
    names a broker, the mirror until Ctrl-C or SIGTERM."""
    settings = Settings.load(data=data, host=host, port=port, owner_dsn=dsn, serve_workers=workers)
    folder = Folder(settings.data)
    folder.make()
    with ExitStack() as running:
        signals = running.enter_context(StopSignals())
        running.enter_context(folder.owned())
        folder.server_file.unlink(missing_ok=True)
        listener = running.enter_context(listening(settings.host, settings.port))
        server: EmbeddedPostgres | None = None
        if settings.owner_dsn is not None:
            owner_dsn = settings.owner_dsn.get_secret_value()
        else:
            server = running.enter_context(EmbeddedPostgres(folder.path))
            owner_dsn = server.owner_dsn
        migrated(settings, owner_dsn)
        dsn = app_dsn(owner_dsn, folder)
        secrets = secrets_of(settings)
        check(dsn, settings, secrets)
        made = first_keys(settings, dsn, secrets)
        url = url_of(listener)
        api = running.enter_context(api_parts(listener, workers=settings.serve_workers))
        supervisor = Supervisor(
            (*api.parts, *project_parts(), *mirror_parts(settings)),
            program=PROGRAM,
            environment=environment_of_parts(settings, dsn, secrets) | api.environment,
            logs=folder.logs,
            say=say,
            changed=lambda pids: folder.publish(url=url, parts=pids),
        )
        running.callback(folder.server_file.unlink, missing_ok=True)
        running.callback(supervisor.stop)
        # Runs before the parts stop: a connection that nobody will answer is refused at once.
        running.callback(listener.close)
        supervisor.start()
        if answers_in_time(url, supervisor, signals):
            _announce(url, folder, made, as_json=as_json)
            supervisor.watch(signals, also=_restarts(server) if server else None)
        say("stopping …")


def _restarts(server: EmbeddedPostgres) -> Callable[[], None]:
    """Starts the server again where it has ended, whenever called; the parts wait for it."""
    starts_at = monotonic()

    def look() -> None:
        nonlocal starts_at
        if server.pid is not None or monotonic() < starts_at:
            return
        say("PostgreSQL has ended; it is started again")
        try:
            server.start()
        except EmbeddedFailed as error:
            say(f"{error}; the next try is in {LONGEST_WAIT_S:.0f} s")
            starts_at = monotonic() + LONGEST_WAIT_S

    return look


def _announce(url: str, folder: Folder, made: dict[str, str] | None, *, as_json: bool) -> None:
    if as_json:
        print_json({"url": url, "keys_file": str(folder.keys_file)})
        return
    out.print(f"Tallystick is ready: [bold]{url}[/bold] (its API: {url}/docs)")
    if made:
        keys = table("role", "key")
        for role, key in made.items():
            keys.add_row(role, key)
        out.print("The first start made one key per role:", keys, sep="\n")
    out.print(f"Keys: {folder.keys_file}   Logs: {folder.logs}   Ctrl-C stops everything.")
