"""Topics that are of another history than the store, or would lose some: the mirror says no."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest
from kafka import KafkaAdminClient

from infrastructure.kafka.topics import PARTITIONS
from tests.fixtures.fix_kafka import SharedBroker
from tests.fixtures.fix_kafka_system import KafkaSystem
from tests.fixtures.fix_ledger import a_ledger, a_writer, opened, payment
from tests.fixtures.fix_postgres import Cluster, Store
from tests.fixtures.fix_processes import Api
from tests.fixtures.fix_tally import until

OnKafka = Callable[..., KafkaSystem]
REFUSED = 2
HALTED = 1


def write(store: Store, label: str, *, payments: int = 5) -> int:
    """Two accounts of that name, and payments between them; gives the end of the store."""
    one, other = f"{label}:one", f"{label}:other"
    with a_ledger(store) as ledger, a_writer(ledger) as writer:
        for name in (one, other):
            writer.submit(opened(f"open {name}", name, overdraft_limit=None)).result(30)
        for number in range(payments):
            paid = writer.submit(payment(f"{label} {number}", (one, other, number + 1))).result(30)
    return paid.position


@contextmanager
def backup_of(cluster: Cluster, store: Store) -> Iterator[Store]:
    """A copy of the store as it is now."""
    name = cluster.create(store.name)
    try:
        yield replace(
            store,
            name=name,
            owner_dsn=cluster.dsn(name),
            app_dsn=store.app_dsn.replace(store.name, name),
        )
    finally:
        cluster.drop(name)


@contextmanager
def administered(bootstrap: str) -> Iterator[KafkaAdminClient]:
    with closing(KafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
        yield admin


def mirror_once(system: KafkaSystem) -> None:
    """All that the store has, by a mirror that is gone then."""
    mirror = system.mirror()
    system.await_mirror()
    mirror.kill()


def assert_refuses(system: KafkaSystem, api: Api, *reasons: str) -> None:
    """It ends, says why, and everybody who asks how the ledger is can see it."""
    mirror = system.mirror()
    assert mirror.wait() == REFUSED, mirror.said
    ((told,),) = system.rows("SELECT refused FROM tally.mirror")
    for reason in reasons:
        assert reason in mirror.said
        assert reason in told
    status = system.status(api)
    assert status.code == HALTED, status
    assert status.json["mirror"]["halted"] == told


@pytest.mark.slow
def test_a_restored_backup_is_not_mirrored_behind_the_topic_nor_once_it_has_grown_past_it(
    on_kafka: OnKafka, kafka: SharedBroker, kafka_store: Store, cluster: Cluster
) -> None:
    write(kafka_store, "before")
    with backup_of(cluster, kafka_store) as backup:
        end = write(kafka_store, "lost")
        mirror_once(on_kafka(kafka.bootstrap))

        restored = on_kafka(kafka.bootstrap, backup)
        api = restored.api()
        reasons = (f"the topic ends with event {end}, ", "backup", restored.topics.events)
        assert restored.end < end
        assert_refuses(restored, api, *reasons, "nothing")
        assert write(backup, "after", payments=9) > end
        assert_refuses(restored, api, *reasons)

        with administered(kafka.bootstrap) as admin:
            admin.delete_topics(list(restored.topics))
            until(lambda: not {*restored.topics} & {*admin.list_topics()})
        restored.mirror()
        until(lambda: restored.rows("SELECT refused FROM tally.mirror") == [(None,)])
        restored.assert_the_topic_is_the_store()
        assert restored.status(api).json["mirror"]["halted"] is None


@pytest.mark.slow
def test_events_without_their_progress_topic_are_not_gone_on_from(
    on_kafka: OnKafka, kafka: SharedBroker, kafka_store: Store
) -> None:
    write(kafka_store, "before")
    system = on_kafka(kafka.bootstrap)
    mirror_once(system)
    with administered(kafka.bootstrap) as admin:
        admin.delete_topics([system.topics.progress])
        until(lambda: system.topics.progress not in admin.list_topics())
    assert_refuses(system, system.api(), f"{system.topics.progress} does not say up to where")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("partitions", "configuration", "reason"),
    [
        (PARTITIONS - 1, {}, f"has {PARTITIONS - 1} partitions, not {PARTITIONS}"),
        (PARTITIONS, {"retention.ms": "86400000"}, "has retention.ms=86400000: set it to -1"),
        (
            PARTITIONS,
            {"retention.ms": "-1", "cleanup.policy": "compact"},
            "has cleanup.policy=compact: set it to delete",
        ),
    ],
    ids=["partitions", "retention", "compaction"],
)
def test_a_topic_that_would_lose_events_or_their_order_is_refused(
    on_kafka: OnKafka,
    kafka: SharedBroker,
    kafka_store: Store,
    partitions: int,
    configuration: dict[str, str],
    reason: str,
) -> None:
    write(kafka_store, "before")
    system = on_kafka(kafka.bootstrap)
    name = system.topics.events
    with administered(kafka.bootstrap) as admin:
        admin.create_topics({name: {"num_partitions": partitions, "configs": configuration}})
    assert_refuses(system, system.api(), f"the topic {name} {reason}")
