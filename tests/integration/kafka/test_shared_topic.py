"""What the read models of a process read together: the rest is in tests/contracts."""

from contextlib import closing

import pytest

from infrastructure.kafka.clients import KafkaClients
from infrastructure.kafka.shared_topic import SharedTopic
from infrastructure.kafka.topics import topics_of
from tests.fixtures.fix_events import History
from tests.fixtures.fix_kafka import SharedBroker
from tests.fixtures.fix_mirror import mirroring
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_tally import until

pytestmark = pytest.mark.slow


def test_who_joins_takes_nothing_from_those_who_read_already(
    kafka_store: Store, kafka: SharedBroker
) -> None:
    """Though more comes between two looks."""
    history = History(ledger=kafka_store.ledger).open("alice", "bob")
    with mirroring(kafka_store, kafka.bootstrap) as settings:
        clients, topics = KafkaClients(settings), topics_of(settings.ledger)
        shared = SharedTopic(clients, topics, settings.ledger)
        with closing(clients.consumer()) as consumer:
            partitions = [shared._events(each) for each in range(12)]
            shared._look_at(consumer, set(partitions[:6]))
            before = {each: consumer.position(each) for each in partitions[:6]}
            for _ in range(60):
                history.pay(("alice", "bob", 1))
            history.store(kafka_store.app_dsn)
            until(lambda: consumer.end_offsets(partitions[:6]).items().isdisjoint(before.items()))
            until(lambda: all(consumer.end_offsets(partitions[6:]).values()))  # maybe another batch
            shared._look_at(consumer, set(partitions[3:]))
            for each in partitions[3:6]:
                assert consumer.position(each) == before[each]
            ends = consumer.end_offsets(partitions[6:])
            for each in partitions[6:]:
                assert 0 < consumer.position(each) <= ends[each]
