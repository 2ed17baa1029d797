"""`tally write`: the writer alone, for the processes of `tally serve --workers`."""

import signal
import socket
from threading import Event
from typing import Annotated

import typer

from api.cli.store import check, opened_store, secrets_of
from api.composition.writing import write as write_for
from api.supervisor import end_with_supervisor
from infrastructure.logs import configure_logging
from infrastructure.settings import Settings


def write(fd: Annotated[int, typer.Option("--fd")]) -> None:
    """Decides what is sent to that socket, until its supervisor ends, or SIGTERM."""
    end_with_supervisor()
    settings = Settings.load()
    configure_logging(settings.log_level)
    stop = Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    with opened_store(settings) as dsn, socket.socket(fileno=fd) as listener:
        check(dsn, settings, secrets_of(settings))
        write_for(settings, dsn=dsn, listener=listener, stop=stop)
