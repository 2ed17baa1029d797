"""`tally project`: projection workers alone, on a store that is migrated."""

import signal
from threading import Event
from typing import Annotated

import typer

from api.cli.feeds import FeedOption, with_feed
from api.cli.output import CannotRun
from api.cli.product import DataOption
from api.cli.store import connect, opened_store
from api.composition.workers import run_workers
from api.supervisor import end_with_supervisor
from infrastructure.logs import configure_logging
from infrastructure.settings import Settings
from infrastructure.start_checks import check_store
from projections.registry import PROJECTIONS


def project(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help="Read models; without, all.")
    ] = None,
    data: DataOption = None,
    feed: FeedOption = None,
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
) -> None:
    """Keeps read models up to date until Ctrl-C or SIGTERM."""
    unknown = sorted(set(names or ()) - PROJECTIONS.keys())
    if unknown:
        raise CannotRun(f"no read model is called {unknown[0]}: there are {', '.join(PROJECTIONS)}")
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    if supervised:
        end_with_supervisor()
    settings = with_feed(Settings.load(data=data, feed=feed))
    configure_logging(settings.log_level)
    with opened_store(settings) as dsn:
        with connect(dsn) as conn:
            check_store(conn, ledger=settings.ledger)
        run_workers(settings, names or list(PROJECTIONS), dsn=dsn, stop=stop)
