"""Where the events come from."""

from infrastructure.mapper import EventMapper
from infrastructure.newest_events import NewestEvents
from infrastructure.settings import Settings
from infrastructure.store_feed import StoreFeed
from infrastructure.store_rows import StoreRows
from projections.worker import OpenFeed


def chosen_feeds(settings: Settings, dsn: str, *, several: bool = False) -> OpenFeed:
    """Opens feeds of the kind that `TALLY_FEED` names; `several` at once, or one at a time."""
    if settings.feed == "kafka":
        # Kafka's client takes as long to load as all else of a worker does, and most need none.
        from api.composition.kafka_feed import kafka_feeds  # noqa: PLC0415

        return kafka_feeds(settings, several=several)
    if not several:
        return lambda: store_feed(settings, dsn)
    mapper, patience_s = EventMapper(), _connect_timeout_s(settings)
    newest = NewestEvents(StoreRows(dsn, connect_timeout_s=patience_s), mapper)
    return lambda: StoreFeed(dsn, mapper, connect_timeout_s=patience_s, newest=newest)


def store_feed(settings: Settings, dsn: str) -> StoreFeed:
    return StoreFeed(dsn, EventMapper(), connect_timeout_s=_connect_timeout_s(settings))


def _connect_timeout_s(settings: Settings) -> int:
    return max(2, int(settings.store_timeout_s))
