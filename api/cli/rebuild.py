"""`tally rebuild`: a read model anew, beside the one that serves."""

import signal
from threading import Event
from typing import Annotated

import typer

from api.cli.feeds import FeedOption, with_feed
from api.cli.output import AsJson, CannotRun, out, print_json
from api.cli.product import DataOption
from api.cli.progress import progress_bar
from api.cli.store import connect, opened_store
from api.composition.workers import rebuild_read_model
from infrastructure.settings import Settings
from infrastructure.start_checks import check_store
from projections.feed import FeedAway
from projections.generation import Halted
from projections.rebuild import Filled, RebuildStopped, RebuildUnderWay
from projections.registry import PROJECTIONS


def rebuild(
    name: Annotated[str, typer.Argument(help="accounts, balances, statements or payments.")],
    data: DataOption = None,
    feed: FeedOption = None,
    as_json: AsJson = False,
) -> None:
    """Builds a read model from the events and swaps it in; readers notice nothing."""
    if name not in PROJECTIONS:
        raise CannotRun(f"no read model is called {name}: there are {', '.join(PROJECTIONS)}")
    settings = with_feed(Settings.load(data=data, feed=feed))
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stop.set())
    with opened_store(settings) as dsn, progress_bar("events") as show:
        with connect(dsn) as conn:
            check_store(conn, ledger=settings.ledger)

        def progress(made: Filled) -> None:
            show(name, made.done, made.total)

        try:
            rebuilt = rebuild_read_model(settings, name, dsn=dsn, stop=stop, progress=progress)
        except RebuildStopped:
            raise CannotRun(f"stopped: {name} is as it was") from None
        except RebuildUnderWay:
            raise CannotRun(f"{name} is being rebuilt already") from None
        except FeedAway as away:
            raise CannotRun(f"{name} is as it was: {away}") from away
        except Halted as halted:
            raise CannotRun(
                f"{name} is as it was: event {halted.position} can't be applied: {halted.reason}"
            ) from halted
    if as_json:
        print_json(
            {
                "projection": rebuilt.projection,
                "position": rebuilt.position,
                "seconds": round(rebuilt.seconds, 3),
                "rate": round(rebuilt.fill_rate),
                "same": rebuilt.same,
            }
        )
        return
    out.print(
        f"{name} is rebuilt up to position {rebuilt.position:,} in {rebuilt.seconds:.1f} s, "
        f"{rebuilt.fill_rate:,.0f} events a second."
    )
    if rebuilt.same is not None:
        out.print(
            "It says what the old one said."
            if rebuilt.same
            else "[red]It says something else than the old one did[/red]: see the log."
        )
