"""`tally up`: the whole product in one terminal, and nothing left of it afterwards."""

import socket
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPException
from time import monotonic
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from api.cli.folder import Folder
from api.cli.itself import PROGRAM
from api.cli.listening import HostOption, PortOption, listening, url_of
from api.cli.output import AsJson, CannotRun, out, print_json, say, table
from api.cli.product import DataOption
from api.cli.store import app_dsn, check, environment_of_parts, first_keys, migrated, secrets_of
from api.supervisor import Part, StopSignals, Supervisor
from infrastructure.embedded import EmbeddedPostgres
from infrastructure.settings import Settings

_READY_WITHIN_S: Final = 120.0
_WORKERS: Final = (("accounts", "balances"), ("statements", "payments"))
"""Read models by process: with two, a slow one does not hold up the balances."""


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
    as_json: AsJson = False,
) -> None:
    """Runs PostgreSQL, migrations, the API, the projection workers and, where TALLY_KAFKA_BOOTSTRAP
    names a broker, the mirror until Ctrl-C or SIGTERM."""
    settings = Settings.load(data=data, host=host, port=port, owner_dsn=dsn)
    folder = Folder(settings.data)
    folder.make()
    with ExitStack() as running:
        signals = running.enter_context(StopSignals())
        running.enter_context(folder.owned())
        folder.server_file.unlink(missing_ok=True)
        listener = running.enter_context(listening(settings.host, settings.port))
        if settings.owner_dsn is not None:
            owner_dsn = settings.owner_dsn.get_secret_value()
        else:
            owner_dsn = running.enter_context(EmbeddedPostgres(folder.path)).owner_dsn
        migrated(settings, owner_dsn)
        dsn = app_dsn(owner_dsn, folder)
        secrets = secrets_of(settings)
        check(dsn, settings, secrets)
        made = first_keys(settings, dsn, secrets)
        url = url_of(listener)
        supervisor = Supervisor(
            parts_of(listener, workers=True, mirror=settings.kafka_bootstrap is not None),
            program=PROGRAM,
            environment=environment_of_parts(settings, dsn, secrets),
            logs=folder.logs,
            say=say,
            changed=lambda pids: folder.publish(url=url, parts=pids),
        )
        running.callback(folder.server_file.unlink, missing_ok=True)
        running.callback(supervisor.stop)
        # Runs before the parts stop: a connection that nobody will answer is refused at once.
        running.callback(listener.close)
        supervisor.start()
        if ready(url, supervisor, signals):
            _announce(url, folder, made, as_json=as_json)
            supervisor.watch(signals)
        say("stopping …")


def parts_of(listener: socket.socket, *, workers: bool, mirror: bool) -> list[Part]:
    """In the order in which they stop: first what takes commands, then what reads events."""
    descriptor = listener.fileno()
    return [
        Part(
            name="serve",
            arguments=("serve", "--supervised", "--fd", str(descriptor)),
            pass_fds=(descriptor,),
        ),
        *(
            Part(name=f"project-{'-'.join(names)}", arguments=("project", "--supervised", *names))
            for names in (_WORKERS if workers else ())
        ),
        *(
            [Part(name="mirror", arguments=("mirror", "--supervised"), may_wait=True)]
            if mirror
            else []
        ),
    ]


def ready(url: str, supervisor: Supervisor, signals: StopSignals) -> bool:
    """Waits until commands and reads are served; False where it was asked to stop before.

    Raises CannotRun where a part does not start.
    """
    deadline = monotonic() + _READY_WITHIN_S
    while not signals.asked:
        if failure := supervisor.failed_to_start():
            raise CannotRun(failure)
        if _answers(url):
            return True
        if monotonic() > deadline:
            raise CannotRun(f"the API was not ready within {_READY_WITHIN_S:.0f} s")
        signals.wait(0.05)
    return False


def _answers(url: str) -> bool:
    at = urlsplit(url)
    assert at.hostname
    connection = HTTPConnection(at.hostname, at.port, timeout=1)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


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
