"""The feed from Kafka."""

from infrastructure.kafka.clients import KafkaClients
from infrastructure.kafka.feed import KafkaFeed
from infrastructure.kafka.topics import topics_of
from infrastructure.settings import Settings


def kafka_feed(settings: Settings) -> KafkaFeed:
    return KafkaFeed(KafkaClients(settings), topics_of(settings.ledger), settings.ledger)
