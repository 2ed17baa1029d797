"""The feed from Kafka."""

from infrastructure.kafka.clients import KafkaClients
from infrastructure.kafka.feed import KafkaFeed
from infrastructure.kafka.shared_topic import SharedTopic
from infrastructure.kafka.topics import topics_of
from infrastructure.settings import Settings
from projections.worker import OpenFeed


def kafka_feeds(settings: Settings, *, several: bool) -> OpenFeed:
    """Opens feeds; `several` at once read the topic together."""
    clients, topics, ledger = KafkaClients(settings), topics_of(settings.ledger), settings.ledger
    shared = SharedTopic(clients, topics, ledger) if several else None
    return lambda: KafkaFeed(clients, topics, ledger, shared=shared)
