"""The mirror and its broker are killed, paused and cut off: the topic is the store's, once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import closing
from statistics import median
from threading import Timer

import pytest
from kafka import KafkaAdminClient
from kafka.errors import KafkaTimeoutError

import infrastructure.kafka.clients
from infrastructure.kafka.clients import KafkaClients
from infrastructure.kafka.mirror import Batch, commit, send
from infrastructure.kafka.records import sent, source_of
from infrastructure.kafka.topics import PARTITIONS, ensure_topics
from infrastructure.settings import Settings
from projections.feed import START, Progress
from tests.fixtures.fix_kafka import Brokers, SharedBroker
from tests.fixtures.fix_kafka_system import CRASHED, KILLED, KafkaSystem, payments
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_processes import Figure, Scaled, pause, resume
from tests.fixtures.fix_projections import store_feed
from tests.fixtures.fix_tally import until

OnKafka = Callable[[str], KafkaSystem]


@pytest.mark.slow
def test_a_mirror_killed_over_and_over_on_a_broker_that_is_too_loses_and_doubles_nothing(
    on_kafka: OnKafka, kafka_broker: Brokers, scaled: Scaled, figure: Figure
) -> None:
    """While its answers are late now and then: the broker is stopped for a moment."""
    kills, broker_kills, stops = scaled(100), scaled(5), scaled(20)
    system = on_kafka(kafka_broker.bootstrap)
    system.env["TALLY_KAFKA_TIMEOUT_S"] = "8"
    chance = random.Random(4)
    faults = ["kill"] * kills + ["stop"] * stops + ["broker"] * broker_kills
    chance.shuffle(faults)
    at_work = 0

    with payments(system, system.api()):
        mirror = system.keep(system.mirror())
        system.await_mirror(after=0)
        for fault in faults:
            before = system.mirrored
            time.sleep(chance.uniform(0, 0.5))
            match fault:
                case "kill":
                    at_work += system.mirrored > before
                    mirror.kill()
                    # Every fourth is killed on its way up, too.
                    time.sleep(chance.uniform(0, 3) if chance.random() < 0.25 else 0)
                case "stop":
                    kafka_broker.pause()
                    time.sleep(chance.uniform(0.1, 1))
                    kafka_broker.resume()
                case "broker":
                    kafka_broker.kill(0)
                    kafka_broker.restart(0)
            if fault == "broker" or chance.random() < 0.75:
                system.await_mirror(after=system.mirrored)
    system.assert_the_topic_is_the_store()

    figure("kill -9 of the mirror under load", mirror.exits[KILLED])
    figure("… of them while it moved on", at_work)
    figure("… of the broker", broker_kills)
    figure("mirrors that ended by themselves, to be started again", mirror.exits[CRASHED])
    assert mirror.exits[KILLED] >= kills
    mirror.assert_ended_only(by=(KILLED, CRASHED))


@pytest.mark.slow
def test_a_broker_that_is_silent_past_the_time_limits_makes_the_mirror_begin_again(
    on_kafka: OnKafka, kafka_broker: Brokers, scaled: Scaled, figure: Figure
) -> None:
    """Stalled in mid-transaction: what the client gives up is not what the mirror passes over."""
    stalls = scaled(20)
    system = on_kafka(kafka_broker.bootstrap)
    with payments(system, system.api()):
        mirror = system.keep(system.mirror(TALLY_KAFKA_TIMEOUT_S="4"))
        for _ in range(stalls):
            system.await_mirror(after=system.mirrored)
            kafka_broker.pause()
            time.sleep(6)
            kafka_broker.resume()
        system.await_mirror(after=system.mirrored)
    system.assert_the_topic_is_the_store()
    figure("stalls of the broker past the delivery timeout", stalls)
    figure("… mirrors that ended by them", mirror.exits[CRASHED])
    assert mirror.exits[CRASHED]
    mirror.assert_ended_only(by=(CRASHED,))


@pytest.mark.slow
def test_a_batch_that_outlived_its_time_limit_is_not_committed(
    on_kafka: OnKafka, kafka_broker: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it has arrived, and yet the client's commit would say OK more often than not."""
    # Records wait in the client so long for others: meanwhile the broker is paused.
    monkeypatch.setattr(infrastructure.kafka.clients, "_LINGER_MS", 2_000)
    system = on_kafka(kafka_broker.bootstrap)
    with payments(system, system.api()):
        until(lambda: system.end > 300)
    settings = Settings(kafka_bootstrap=kafka_broker.bootstrap, kafka_timeout_s=4)
    clients, topics, ledger = KafkaClients(settings), system.topics, system.store.ledger
    ensure_topics(clients, topics, replication_factor=1, min_insync_replicas=1)
    first, second = two_batches(system.store)
    producer_id = f"tally.{ledger}.mirror"
    producer = clients.producer(producer_id)
    producer.init_transactions()
    commit(producer, send(producer, first, topics, ledger), 10)
    began = time.monotonic()
    stalled = send(producer, second, topics, ledger)
    await_begun(
        kafka_broker, f"tally.{ledger}.mirror", len({each.partition for each in second.records}) + 1
    )
    kafka_broker.pause()
    # Past the delivery timeout of 4 s, and in time for an answer to a commit.
    resuming = Timer(began + 5 - time.monotonic(), kafka_broker.resume)
    resuming.start()
    with pytest.raises(KafkaTimeoutError, match="since batch creation"):
        commit(producer, stalled, 10)
    resuming.join()
    producer.close(timeout=1)
    system.mirror()
    system.assert_the_topic_is_the_store()


def await_begun(brokers: Brokers, producer_id: str, partitions: int) -> None:
    """Until the broker has its transaction in so many partitions, and the client knows it."""
    with KafkaAdminClient(bootstrap_servers=brokers.bootstrap) as admin:

        def begun() -> bool:
            described = admin.describe_transactions([producer_id])[producer_id]
            return len(described.topic_partitions) == partitions

        until(begun)
    time.sleep(0.2)


def two_batches(store: Store) -> tuple[Batch, Batch]:
    """The first events of the store, a hundred at a time or so."""
    with closing(store_feed(store.app_dsn)) as feed:
        first = feed.read({0: START}, 100)
        second = feed.read({0: first[-1].mark}, 100)
    source, last = source_of(store.ledger), dict.fromkeys(range(PARTITIONS), 0)
    batches = []
    for records in (first, second):
        encoded = [sent(record, source, last) for record in records]
        batches.append(Batch(encoded, Progress(records[-1].mark, dict(last)), more=False))
    return batches[0], batches[1]


@pytest.mark.slow
def test_a_mirror_that_was_paused_is_taken_over_and_ends_when_it_comes_back(
    on_kafka: OnKafka, kafka: SharedBroker, scaled: Scaled, figure: Figure
) -> None:
    takeovers = scaled(20, least=2)
    system = on_kafka(kafka.bootstrap)
    system.env |= {"TALLY_MIRROR_TAKEOVER_S": "1", "TALLY_KAFKA_TIMEOUT_S": "10"}
    chance = random.Random(8)
    took_s, fenced = [], 0
    with payments(system, system.api()):
        leader = system.mirror()
        system.await_mirror(after=0)
        for _ in range(takeovers):
            standby = system.mirror()
            time.sleep(chance.uniform(2, 3))
            pause(leader)
            took_s.append(system.await_mirror(after=system.mirrored))
            resume(leader)
            assert leader.wait() == CRASHED
            fenced += "Fenced" in leader.said or "InvalidProducerEpoch" in leader.said
            leader = standby
        system.await_mirror(after=system.mirrored)
    assert leader.running
    system.assert_the_topic_is_the_store()
    figure("takeovers from a mirror that was paused", takeovers)
    figure("… of them in mid-transaction: fenced by the broker", fenced)
    figure("… pause to the next one's first batch, slowest, s", max(took_s))


@pytest.mark.slow
def test_commands_go_on_while_the_broker_is_gone_and_the_mirror_catches_up(
    on_kafka: OnKafka, kafka_broker: Brokers, scaled: Scaled, figure: Figure
) -> None:
    seconds = scaled(60)
    system = on_kafka(kafka_broker.bootstrap)
    api = system.api()
    with payments(system, api, per_s=500) as load:
        mirror = system.keep(system.mirror(TALLY_KAFKA_TIMEOUT_S="10"))
        system.await_mirror(after=0)
        before = time.monotonic()
        time.sleep(seconds)
        kafka_broker.kill(0)
        gone = time.monotonic()
        behind = []
        while time.monotonic() < gone + seconds:
            assert load.send("GET", "/readyz").status == 200
            behind.append(load.send("GET", "/v1/status", role="reporter").body["mirror"]["lag"])
            time.sleep(seconds / 12)
        back = time.monotonic()
        assert behind[-1] > behind[0]
        status = system.status(api)
        assert status.code == 0, status
        assert status.json["mirror"]["lag"] >= behind[-1]
        assert status.json["mirror"]["lag_s"] > seconds / 2
        assert not load.troubles
    lacking = system.end - system.mirrored
    kafka_broker.restart(0)
    system.await_mirror(after=system.mirrored)
    rest, began = system.end - system.mirrored, time.monotonic()
    system.await_mirror()
    rate = rest / max(0.05, time.monotonic() - began)
    system.assert_the_topic_is_the_store()
    mirror.assert_ended_only(by=(CRASHED,))

    with_broker, without = (
        median(
            p99(load.times(since + n * seconds / 3, since + (n + 1) * seconds / 3))
            for n in range(3)
        )
        for since in (before, gone)
    )
    figure("p99 of a payment with the broker, median of three, ms", 1000 * with_broker)
    figure("… with the broker gone, ms", 1000 * without)
    figure("… ratio", without / with_broker)
    figure("payments/s while the broker was gone", len(load.times(gone, back)) / (back - gone))
    figure("events the mirror lacked when the broker came back", lacking)
    figure("… caught up at, events/s", rate)


def p99(times: list[float]) -> float:
    return times[len(times) * 99 // 100]


@pytest.mark.slow
def test_two_brokers_of_three_are_enough(
    on_kafka: OnKafka, three_brokers: Brokers, scaled: Scaled, figure: Figure
) -> None:
    """The one killed leads the progress topic, which every transaction writes to."""
    kills = scaled(10)
    system = on_kafka(three_brokers.bootstrap)
    system.env |= {
        "TALLY_KAFKA_REPLICATION_FACTOR": "3",
        "TALLY_KAFKA_MIN_INSYNC_REPLICAS": "2",
        "TALLY_KAFKA_TIMEOUT_S": "10",
    }
    mirror_s, workers_s = [], []
    with payments(system, system.api()) as load:
        mirror = system.keep(system.mirror())
        worker = system.keep(system.kafka_worker())
        until(lambda: system.watermark)
        for _ in range(kills):
            killed = leader_of(system.topics.progress, three_brokers)
            three_brokers.kill(killed)
            end, began = system.end, time.monotonic()
            mirror_s.append(system.await_mirror(after=end))
            until(lambda end=end: system.watermark > end)
            workers_s.append(time.monotonic() - began)
            three_brokers.restart(killed)
        assert not load.troubles
    system.assert_the_topic_is_the_store()
    mirror.assert_ended_only(by=(CRASHED,))
    worker.assert_ended_only(by=())
    figure("kill -9 of one broker of three under load", kills)
    figure("… until the mirror was past what came before, slowest, s", max(mirror_s))
    figure("… until the read models were, slowest, s", max(workers_s))


def leader_of(topic: str, brokers: Brokers) -> int:
    """Index of the broker that leads its first partition."""
    with KafkaAdminClient(bootstrap_servers=brokers.bootstrap) as admin:
        (described,) = admin.describe_topics([topic])
        return int(described["partitions"][0]["leader_id"]) - 1
