"""`tally serve`: the API alone, on a store that is migrated."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from api.cli.folder import Folder
from api.cli.itself import PROGRAM
from api.cli.listening import HostOption, PortOption, listening, url_of
from api.cli.output import AsJson, CannotRun, print_json, say
from api.cli.processes import WorkersOption, answers_in_time, api_parts
from api.cli.product import DataOption
from api.cli.store import check, environment_of_parts, opened_store, secrets_of
from api.composition.rest import compose
from api.serving import serve as serve_app
from api.supervisor import StopSignals, Supervisor, end_with_supervisor
from infrastructure.logs import configure_logging
from infrastructure.secret import Secrets
from infrastructure.settings import Settings


def serve(
    data: DataOption = None,
    host: HostOption = None,
    port: PortOption = None,
    workers: WorkersOption = None,
    fd: Annotated[int | None, typer.Option("--fd", hidden=True)] = None,
    writer: Annotated[Path | None, typer.Option("--writer", hidden=True)] = None,
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
    as_json: AsJson = False,
) -> None:
    """Serves the API until Ctrl-C or SIGTERM. Several on one store are fine."""
    if supervised:
        end_with_supervisor()
    settings = Settings.load(data=data, host=host, port=port, serve_workers=workers)
    configure_logging(settings.log_level)
    with ExitStack() as running:
        # One that `tally up` has bound waits with its connections while we start.
        listener = running.enter_context(
            listening(settings.host, settings.port) if fd is None else socket.socket(fileno=fd)
        )
        dsn = running.enter_context(opened_store(settings))
        secrets = secrets_of(settings)
        check(dsn, settings, secrets)
        url = url_of(listener)

        def ready() -> None:
            if as_json:
                keys_file = str(Folder(settings.data).keys_file)
                print_json({"url": url, "keys_file": keys_file})
            else:
                say(f"serving {url}")

        if settings.serve_workers and not writer:
            _supervise(settings, listener, dsn=dsn, secrets=secrets, ready=ready)
            return
        stopping = asyncio.Event()
        app = compose(
            settings, dsn=dsn, url=url, secrets=secrets, stopping=stopping, writer_at=writer
        )
        try:
            serve_app(
                app, listener, stopping=stopping, drain_s=settings.drain_timeout_s, ready=ready
            )
        except SystemExit:
            raise CannotRun("the API did not start; the log above says why") from None


def _supervise(
    settings: Settings,
    listener: socket.socket,
    *,
    dsn: str,
    secrets: Secrets,
    ready: Callable[[], None],
) -> None:
    """Has other processes serve and write, until a signal asks to stop."""
    with ExitStack() as running:
        signals = running.enter_context(StopSignals())
        api = running.enter_context(api_parts(listener, workers=settings.serve_workers))
        supervisor = Supervisor(
            api.parts,
            program=PROGRAM,
            environment=environment_of_parts(settings, dsn, secrets) | api.environment,
            logs=None,
            say=say,
            changed=lambda _: None,
        )
        running.callback(supervisor.stop)
        running.callback(listener.close)
        supervisor.start()
        if answers_in_time(url_of(listener), supervisor, signals):
            ready()
            supervisor.watch(signals)
