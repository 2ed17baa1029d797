"""The brokers that other tests stand on: they keep data and addresses, and leave nothing."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import KafkaError, KafkaTimeoutError

from infrastructure.start_checks import check_ledger
from tests.fixtures.fix_kafka import Brokers, SharedBroker
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_tally import alive, until
from tests.kafka.broker import kill

ROOT = Path(__file__).parents[3]


def new_topic(bootstrap: str) -> str:
    """With as many replicas as the brokers make by themselves."""
    topic = f"test-{secrets.token_hex(6)}"
    with KafkaAdminClient(bootstrap_servers=bootstrap) as admin:
        admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=-1)])
        admin.wait_for_topics([topic])
    return topic


@contextmanager
def transaction(bootstrap: str) -> Iterator[KafkaProducer]:
    """Of a new producer: the client may lose a transaction's request with its connection."""
    producer = KafkaProducer(
        bootstrap_servers=bootstrap,
        transactional_id=f"test-{secrets.token_hex(6)}",
        # So long it waits for a coordinator that was killed before it asks for the next one.
        request_timeout_ms=10_000,
    )
    with closing(producer):
        producer.init_transactions()
        producer.begin_transaction()
        yield producer


def commit(bootstrap: str, topic: str, value: bytes) -> None:
    """Waits until it can be read: Kafka may forget to show what it committed just before a kill."""
    with transaction(bootstrap) as producer:
        producer.send(topic, value, partition=0).get(30)
        producer.commit_transaction()
    until(lambda: value in committed(bootstrap, topic))


def leader(admin: KafkaAdminClient, topic: str) -> int | None:
    """The number of the broker that leads it; None while nobody can say."""
    try:
        (described,) = admin.describe_topics([topic])
    except KafkaError:
        return None
    (partition,) = described["partitions"]
    number: int = partition["leader_id"]
    return number if number > 0 else None


def committed(bootstrap: str, topic: str) -> list[bytes]:
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        group_id=None,
    )
    partition = TopicPartition(topic, 0)
    values: list[bytes] = []
    with closing(consumer):
        consumer.assign([partition])
        end = consumer.end_offsets([partition])[partition]
        while consumer.position(partition) < end:
            for records in consumer.poll(timeout_ms=500).values():
                values += [record.value for record in records]
    return values


@pytest.mark.slow
def test_what_is_committed_is_read_and_what_is_aborted_is_not(kafka: SharedBroker) -> None:
    topic = new_topic(kafka.bootstrap)
    commit(kafka.bootstrap, topic, b"first")
    with transaction(kafka.bootstrap) as producer:
        producer.send(topic, b"taken back", partition=0).get(30)
        producer.abort_transaction()
    commit(kafka.bootstrap, topic, b"second")
    assert committed(kafka.bootstrap, topic) == [b"first", b"second"]


@pytest.mark.slow
def test_a_killed_broker_comes_back_at_its_address_with_its_data(kafka_broker: Brokers) -> None:
    bootstrap, (pid,) = kafka_broker.bootstrap, kafka_broker.pids
    assert pid is not None
    topic = new_topic(bootstrap)
    commit(bootstrap, topic, b"before")
    kafka_broker.kill(0)
    until(lambda: not alive(pid))  # its memory is gone a moment before it is
    assert kafka_broker.pids == [None]
    kafka_broker.restart(0)
    assert kafka_broker.bootstrap == bootstrap
    commit(bootstrap, topic, b"after")
    assert committed(bootstrap, topic) == [b"before", b"after"]


@pytest.mark.slow
def test_a_paused_broker_is_silent_until_it_is_resumed(kafka_broker: Brokers) -> None:
    topic = new_topic(kafka_broker.bootstrap)
    with transaction(kafka_broker.bootstrap) as producer:
        producer.send(topic, b"in time", partition=0).get(30)
        kafka_broker.pause(0)
        sent = producer.send(topic, b"held up", partition=0)
        with pytest.raises(KafkaTimeoutError):
            sent.get(0.5)
        kafka_broker.resume(0)
        sent.get(30)
        producer.commit_transaction()
    assert committed(kafka_broker.bootstrap, topic) == [b"in time", b"held up"]
    kafka_broker.pause(0)
    kafka_broker.stop()
    assert kafka_broker.pids == [None]


@pytest.mark.slow
def test_two_of_three_brokers_go_on_when_the_third_is_killed(three_brokers: Brokers) -> None:
    bootstrap = three_brokers.bootstrap
    topic = new_topic(bootstrap)
    commit(bootstrap, topic, b"before")
    with KafkaAdminClient(bootstrap_servers=bootstrap) as admin:
        first = leader(admin, topic)
        assert first is not None
        three_brokers.kill(first - 1)
        until(lambda: leader(admin, topic) not in (None, first))
    commit(bootstrap, topic, b"without it")
    assert committed(bootstrap, topic) == [b"before", b"without it"]
    three_brokers.restart(first - 1)
    assert None not in three_brokers.pids
    commit(bootstrap, topic, b"with it again")
    assert committed(bootstrap, topic)[2:] == [b"with it again"]


RUN = """
import os, time
from pathlib import Path

def test_it(kafka):
    (folder,) = Path(os.environ["TALLY_TEST_FOLDER"]).glob("kafka-*/1")
    worker = Path("NAME")
    worker.with_suffix(".draft").write_text(f"{kafka.bootstrap} {(folder / 'pid').read_text()}")
    worker.with_suffix(".draft").rename(worker)
    while not Path("go-on").exists():
        time.sleep(0.02)
"""
PLUGINS = ("xdist.plugin", "tests.fixtures.fix_run", "tests.fixtures.fix_kafka")


class Run:
    """A test run of two workers, each with a test that needs Kafka."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._workers = [folder / "first", folder / "second"]
        for worker in self._workers:
            test = RUN.replace("NAME", str(worker))
            (folder / f"test_{worker.name}.py").write_text(test)
        (folder / "temporary").mkdir()
        self.process = self.pytest("-n", "2", "--dist", "loadfile", folder)

    def pytest(self, *words: str | Path) -> subprocess.Popen[bytes]:
        """Where temporary folders are this run's alone."""
        plugins = [word for name in PLUGINS for word in ("-p", name)]
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *plugins, *words],
            cwd=self._folder,
            env=os.environ
            | {
                "PYTHONPATH": str(ROOT),
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "TMPDIR": str(self._folder / "temporary"),
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def broker(self) -> int:
        """The pid of the one broker, once both workers have found it."""
        until(lambda: all(worker.exists() for worker in self._workers))
        assert self._workers[0].read_text() == self._workers[1].read_text()
        return int(self._workers[0].read_text().split()[1])

    def go_on(self) -> None:
        (self._folder / "go-on").touch()

    def left(self) -> list[str]:
        """Of the folders of runs."""
        return [folder.name for folder in (self._folder / "temporary").glob("tally-test-*")]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path)
    yield run
    run.process.kill()
    run.process.wait()
    kill(file.parent for file in tmp_path.glob("temporary/*/kafka-*/*/pid"))


@pytest.mark.slow
def test_the_workers_of_a_run_share_one_broker_which_ends_with_it(run: Run) -> None:
    broker = run.broker()
    run.go_on()
    assert run.process.wait(60) == 0
    assert not alive(broker)
    assert run.left() == []


@pytest.mark.slow
def test_a_broker_ends_with_a_run_that_is_killed(run: Run) -> None:
    broker = run.broker()
    run.process.kill()
    until(lambda: not alive(broker), within_s=10)


@pytest.mark.slow
def test_what_outlived_a_killed_run_is_ended_by_the_next(run: Run) -> None:
    broker = run.broker()
    guard = int(Path(f"/proc/{broker}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(guard, signal.SIGKILL)
    run.process.kill()
    run.process.wait()
    assert alive(broker)
    run.pytest("--collect-only", "--quiet").wait(60)
    assert not alive(broker)
    assert run.left() == []


def test_a_pid_file_whose_number_is_another_process_s_by_now_ends_nobody(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        (tmp_path / "pid").write_text(str(other.pid))
        kill([tmp_path])
        assert other.poll() is None
        other.kill()


def test_without_java_the_test_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(pytest.skip.Exception, match="java is missing"):
        Brokers(tmp_path).start()


def test_a_ledger_of_its_own_is_what_the_store_says(kafka_store: Store) -> None:
    assert kafka_store.ledger.startswith("test-")
    with psycopg.connect(kafka_store.app_dsn) as conn:
        check_ledger(conn, kafka_store.ledger)
