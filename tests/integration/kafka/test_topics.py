"""What is asked of the brokers about topics, and what their answers mean."""

from __future__ import annotations

import secrets
from contextlib import closing

import pytest
from kafka.errors import UnknownTopicOrPartitionError

from infrastructure.kafka.clients import KafkaClients
from infrastructure.kafka.topics import PARTITIONS, _check
from infrastructure.settings import Settings
from tests.fixtures.fix_kafka import SharedBroker


@pytest.mark.slow
def test_a_topic_that_the_broker_asked_does_not_know_yet_is_not_refused(
    kafka: SharedBroker,
) -> None:
    """Another broker has just made it: with a moment's patience it has all its partitions."""
    clients = KafkaClients(Settings(kafka_bootstrap=kafka.bootstrap))
    with closing(clients.admin()) as admin, pytest.raises(UnknownTopicOrPartitionError):
        _check(admin, f"test-{secrets.token_hex(6)}", PARTITIONS, {})
