"""The settings for a production broker: TLS, and a password."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest
from kafka.errors import KafkaError

from api.composition.kafka_feed import kafka_feeds
from infrastructure.kafka.clients import KafkaClients
from infrastructure.settings import Settings
from projections.feed import START
from tests.fixtures.fix_events import History
from tests.fixtures.fix_mirror import mirroring
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_tally import until

pytestmark = pytest.mark.slow


def test_events_go_over_tls_with_a_password(
    kafka_store: Store, secure_broker: dict[str, Any]
) -> None:
    history = History(ledger=kafka_store.ledger).open("alice", "bob")
    history.store(kafka_store.app_dsn)
    bootstrap = secure_broker.pop("kafka_bootstrap")
    with (
        mirroring(kafka_store, bootstrap, **secure_broker) as settings,
        closing(kafka_feeds(settings, several=False)()) as feed,
    ):
        until(lambda: feed.end().mark.position == history.end)
        marks = dict.fromkeys(range(feed.partitions), START)
        seen: list[int] = []
        until(lambda: seen.extend(r.position for r in feed.read(marks, 10)) or len(seen) >= 4)
        assert sorted(seen) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kafka_sasl_password": "another"},
        {"kafka_ca_file": None},
        {"kafka_security_protocol": "SASL_PLAINTEXT"},
    ],
    ids=["password", "authority", "protocol"],
)
def test_a_wrong_setting_is_no_connection(
    secure_broker: dict[str, Any], wrong: dict[str, Any]
) -> None:
    given = secure_broker | wrong | {"kafka_timeout_s": 5}
    with pytest.raises((KafkaError, OSError)):
        KafkaClients(Settings.load(**given)).admin()
