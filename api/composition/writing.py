"""The writer, with what the ledger does by itself: in the API's process, or in one of its own."""

import logging
import os
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from threading import Event

from api.composition.clock import clock as real_clock
from api.composition.ledger import opened_ledger
from api.metrics import Metrics
from application.due import Sweeper
from application.ports import Clock
from application.writer import Writer
from infrastructure.due_payments import DuePaymentsReadModel
from infrastructure.settings import Settings
from infrastructure.writer_link import WriterServer
from projections.worker import collect_rarely


def end_process() -> None:
    """Without its writer a process answers no command: its supervisor starts it afresh."""
    logging.shutdown()
    os._exit(70)


def started_writer(
    settings: Settings,
    dsn: str,
    clock: Clock,
    metrics: Metrics,
    on_death: Callable[[], None],
    stack: AsyncExitStack | ExitStack,
    answered: Callable[[], None] = lambda: None,
) -> Writer:
    """The stack ends it, once what it has accepted is decided."""
    writer = Writer(
        opened_ledger(settings, dsn, clock, stack),
        queue_size=settings.queue_size,
        batch_size=settings.batch_size,
        timeout_s=settings.store_timeout_s,
        on_death=on_death,
        observe=metrics.batch,
        answered=answered,
    )
    writer.start()
    stack.callback(writer.stop)
    return writer


def started_sweeper(
    settings: Settings,
    dsn: str,
    clock: Clock,
    writer: Writer,
    stack: AsyncExitStack | ExitStack,
) -> None:
    """The stack ends it."""
    due = DuePaymentsReadModel(dsn, timeout_s=settings.store_timeout_s)
    sweeper = Sweeper(due, writer.submit, clock=clock)
    sweeper.start()
    stack.callback(sweeper.stop)


def write(settings: Settings, *, dsn: str, listener: socket.socket, stop: Event) -> None:
    """Decides for the API processes that connect to that socket, until `stop` is set; goes on then
    until they are gone, for `drain_timeout_s` at most, so that they can answer what they have
    accepted."""
    with ExitStack() as stack:
        server = WriterServer(listener)
        writer = started_writer(
            settings, dsn, real_clock, Metrics(), end_process, stack, answered=server.tell
        )
        started_sweeper(settings, dsn, real_clock, writer, stack)
        collect_rarely()
        server.start(writer)
        stop.wait()
        server.drain(settings.drain_timeout_s)
