"""Where the events come from."""

from infrastructure.mapper import EventMapper
from infrastructure.settings import Settings
from infrastructure.store_feed import StoreFeed
from projections.feed import EventFeed


def chosen_feed(settings: Settings, dsn: str) -> EventFeed:
    """The feed that `TALLY_FEED` names."""
    if settings.feed == "kafka":
        # Kafka's client takes as long to load as all else of a worker does, and most need none.
        from api.composition.kafka_feed import kafka_feed  # noqa: PLC0415

        return kafka_feed(settings)
    return store_feed(settings, dsn)


def store_feed(settings: Settings, dsn: str) -> StoreFeed:
    return StoreFeed(dsn, EventMapper(), connect_timeout_s=max(2, int(settings.store_timeout_s)))
