"""Where the events come from."""

from infrastructure.mapper import EventMapper
from infrastructure.settings import Settings
from infrastructure.store_feed import StoreFeed
from projections.worker import OpenFeed


def chosen_feeds(settings: Settings, dsn: str, *, several: bool = False) -> OpenFeed:
    """Opens feeds of the kind that `TALLY_FEED` names; `several` at once, or one at a time."""
    if settings.feed == "kafka":
        # Kafka's client takes as long to load as all else of a worker does, and most need none.
        from api.composition.kafka_feed import kafka_feeds  # noqa: PLC0415

        return kafka_feeds(settings, several=several)
    return lambda: store_feed(settings, dsn)


def store_feed(settings: Settings, dsn: str) -> StoreFeed:
    return StoreFeed(dsn, EventMapper(), connect_timeout_s=max(2, int(settings.store_timeout_s)))
