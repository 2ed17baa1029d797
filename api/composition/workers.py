"""The workers, and a rebuild."""

from collections.abc import Callable, Sequence
from threading import Event

from api.composition.feeds import chosen_feeds
from infrastructure.settings import Settings
from projections.rebuild import Filled, Rebuilt, rebuild
from projections.registry import PROJECTIONS
from projections.worker import run_projections


def run_workers(settings: Settings, names: Sequence[str], *, dsn: str, stop: Event) -> None:
    """Keeps the read models of these names up to date until `stop` is set."""
    run_projections(
        [PROJECTIONS[name] for name in names],
        dsn=dsn,
        open_feed=chosen_feeds(settings, dsn, several=len(names) > 1),
        stop=stop,
    )


def rebuild_read_model(
    settings: Settings,
    name: str,
    *,
    dsn: str,
    stop: Event,
    progress: Callable[[Filled], None],
) -> Rebuilt:
    """Builds the read model of this name anew, and swaps; see projections/rebuild.py."""
    return rebuild(
        PROJECTIONS[name],
        dsn=dsn,
        open_feed=chosen_feeds(settings, dsn),
        stop=stop,
        progress=progress,
    )
