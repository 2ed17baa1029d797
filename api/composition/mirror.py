"""The mirror."""

from threading import Event

from api.composition.feeds import store_feed
from infrastructure.kafka.clients import KafkaClients
from infrastructure.kafka.mirror import Mirror
from infrastructure.kafka.topics import check_topics, topics_of
from infrastructure.kafka.watchdog import Watchdog
from infrastructure.settings import Settings


def run_mirror(settings: Settings, *, dsn: str, stop: Event) -> None:
    """Mirrors the store into Kafka until `stop` is set; see infrastructure/kafka/mirror.py."""
    Mirror(
        dsn=dsn,
        feed=store_feed(settings, dsn),
        clients=KafkaClients(settings),
        topics=topics_of(settings.ledger),
        ledger=settings.ledger,
        replication_factor=settings.kafka_replication_factor,
        min_insync_replicas=settings.kafka_min_insync_replicas,
        batch_size=settings.mirror_batch_size,
        takeover_s=settings.mirror_takeover_s,
        stop=stop,
        watchdog=Watchdog(),
    ).run()


def check_kafka(settings: Settings) -> None:
    """Raises FeedAway where no broker answers, CannotStart where a topic is not as it must be."""
    check_topics(KafkaClients(settings), topics_of(settings.ledger))
