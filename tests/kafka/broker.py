"""One Kafka process, broker and controller in one, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infrastructure.embedded_pid import command

CLUSTER_ID: Final = "tallystick-for-testing"
GUARD: Final = Path(__file__).with_name("guard.py")
READY_WITHIN_S: Final = 60.0
GRACE_S: Final = 5.0
"""A broker without a quorum does not end when it is asked to."""
JVM: Final = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class BrokerFailed(Exception):
    """A broker ended, or did not become ready in time; says what its log says."""


@dataclass(frozen=True, kw_only=True)
class Secure:
    """One more listener of a broker, as a production broker has it: TLS, and a password."""

    address: str
    keystore: Path
    """Key and certificate, PEM."""
    username: str
    password: str

    def properties(self) -> str:
        login = "org.apache.kafka.common.security.plain.PlainLoginModule"
        return f"""\
listener.name.secure.sasl.enabled.mechanisms=PLAIN
listener.name.secure.plain.sasl.jaas.config={login} required user_{self.username}="{self.password}";
listener.name.secure.ssl.keystore.type=PEM
listener.name.secure.ssl.keystore.location={self.keystore}
"""


class Broker:
    def __init__(
        self,
        folder: Path,
        *,
        number: int,
        voters: dict[int, int],
        port: int,
        secure: Secure | None = None,
    ) -> None:
        """`voters`: the controllers' ports by the numbers (from 1) of the cluster's processes."""
        self.folder = folder
        self.number = number
        self.address = f"127.0.0.1:{port}"
        self.log = folder / "log"
        self.port = port
        self._voters = voters
        self._secure = secure

    def prepare(self, formatted: Path) -> None:
        """Makes its folder, with a copy of that formatted storage."""
        self.folder.mkdir(parents=True)
        shutil.copytree(formatted, self.folder / "data")
        (self.folder / "server.properties").write_text(self._properties())

    def spawn(self, java: str, *options: str, lock: Path) -> None:
        """Starts it; it is killed as soon as nobody holds the lock exclusively."""
        guarded = (str(lock), str(self.folder / "pid"))
        # A killed one leaves its compression's library in the JVM's temporary folder.
        jvm = (*JVM, f"-Djava.io.tmpdir={self.folder}", *options)
        run = (java, *jvm, "kafka.Kafka", str(self.folder / "server.properties"))
        (self.folder / "pid").unlink(missing_ok=True)
        with self.log.open("ab") as log:
            subprocess.run(
                [sys.executable, "-I", "-S", GUARD, *guarded, *run],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )

    @property
    def pid(self) -> int | None:
        return running(self.folder)

    def signal(self, number: signal.Signals) -> None:
        pid = self.pid
        assert pid is not None, f"broker {self.number} does not run"
        os.kill(pid, number)

    def said(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]

    def _properties(self) -> str:
        alone = len(self._voters) == 1
        replicas, in_sync = (1, 1) if alone else (3, 2)
        # A broker that was killed is missed, and may come back, after its session's end.
        session_ms, heartbeat_ms = (1000, 200) if alone else (2000, 400)
        voters = ",".join(f"{number}@127.0.0.1:{port}" for number, port in self._voters.items())
        controller = f"127.0.0.1:{self._voters[self.number]}"
        also, protocol, properties = "", "", ""
        if self._secure:
            also, protocol = f",SECURE://{self._secure.address}", ",SECURE:SASL_SSL"
            properties = self._secure.properties()
        return f"""\
process.roles=broker,controller
node.id={self.number}
controller.quorum.voters={voters}
listeners=PLAINTEXT://{self.address},CONTROLLER://{controller}{also}
advertised.listeners=PLAINTEXT://{self.address}{also}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocol}
log.dirs={self.folder / "data"}
auto.create.topics.enable=false
default.replication.factor={replicas}
min.insync.replicas={in_sync}
offsets.topic.replication.factor={replicas}
offsets.topic.num.partitions=4
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
transaction.state.log.num.partitions=4
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={in_sync}
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=2097152
broker.session.timeout.ms={session_ms}
broker.heartbeat.interval.ms={heartbeat_ms}
{properties}"""


def running(folder: Path) -> int | None:
    """The pid of the broker of that folder; None where its number is another process's by now."""
    with suppress(FileNotFoundError, ValueError):
        pid = int((folder / "pid").read_text())
        if str(folder / "server.properties") in command(pid):
            return pid
    return None


def end(folders: Iterable[Path], *, grace_s: float = GRACE_S) -> None:
    """Ends the brokers of the folders in good order, paused ones too; kills what is left then."""
    alive = list(folders)
    for number in (signal.SIGCONT, signal.SIGTERM):
        _signal(alive, number)
    kill(_left(alive, grace_s))


def kill(folders: Iterable[Path]) -> None:
    """kill -9 to the brokers of the folders; they are gone when this returns."""
    alive = list(folders)
    _signal(alive, signal.SIGKILL)
    assert not (left := _left(alive, READY_WITHIN_S)), f"not even killed: {left}"


def _signal(folders: Iterable[Path], number: signal.Signals) -> None:
    for folder in folders:
        if (pid := running(folder)) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def _left(folders: list[Path], within_s: float) -> list[Path]:
    """Those whose brokers have not ended in time."""
    deadline = time.monotonic() + within_s
    while (alive := [one for one in folders if running(one)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return alive


def await_ready(brokers: Sequence[Broker]) -> None:
    """Waits until all of them serve. Raises BrokerFailed."""
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaError

    deadline = time.monotonic() + READY_WITHIN_S

    def not_yet() -> None:
        for broker in brokers:
            if broker.pid is None or time.monotonic() > deadline:
                state = "ended" if broker.pid is None else "is not ready"
                raise BrokerFailed(f"broker {broker.number} {state}: {broker.said()}")
        time.sleep(0.02)

    # It listens once the controllers know of this start of it, and unfence it when it has caught
    # up: a client that asks before may be told of the start before.
    for broker in brokers:
        while not _listens(broker.port):
            not_yet()
    with KafkaAdminClient(
        bootstrap_servers=[broker.address for broker in brokers], request_timeout_ms=5000
    ) as admin:
        wanted = {broker.number for broker in brokers}
        serving: set[int] = set()
        while not wanted <= serving:
            with suppress(KafkaError):
                found = admin.describe_cluster()["brokers"]
                serving = {one["broker_id"] for one in found if not one["is_fenced"]}
            if not wanted <= serving:
                not_yet()


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
