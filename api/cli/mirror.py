"""`tally mirror`: every event into Kafka, once."""

import logging
import os
import signal
from threading import Event
from typing import Annotated

import typer

from api.cli.feeds import needs_kafka
from api.cli.product import DataOption
from api.cli.store import connect, opened_store
from api.composition.mirror import run_mirror
from api.supervisor import end_with_supervisor
from infrastructure.cannot_start import TRY_AGAIN, CannotStart
from infrastructure.logs import configure_logging
from infrastructure.settings import Settings
from infrastructure.start_checks import check_store

_log = logging.getLogger("tally.kafka")


def mirror(
    data: DataOption = None,
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
) -> None:
    """Mirrors the events into Kafka until Ctrl-C or SIGTERM. Needs TALLY_KAFKA_BOOTSTRAP.

    It ends where anything goes wrong, and is to be started again: what became of its last
    transaction it then reads from Kafka.
    """
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    if supervised:
        end_with_supervisor()
    settings = Settings.load(data=data)
    configure_logging(settings.log_level)
    needs_kafka(settings)
    with opened_store(settings) as dsn:
        with connect(dsn) as conn:
            check_store(conn, ledger=settings.ledger)
        try:
            run_mirror(settings, dsn=dsn, stop=stop)
        except CannotStart:
            raise
        except Exception:  # noqa: BLE001 (crash-only: logged, and the process ends)
            _log.critical("the mirror ends, to be started again", exc_info=True)
            logging.shutdown()
            os._exit(TRY_AGAIN)  # the client's own threads may never end
