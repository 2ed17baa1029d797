"""Apache Kafka from its Maven artifacts, in .kafka/ of the checkout; made once, kept over runs."""

from __future__ import annotations

import hashlib
import random
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from infrastructure.private_files import held
from tests.kafka.broker import CLUSTER_ID, JVM, READY_WITHIN_S, Broker, await_ready, end

HERE: Final = Path(__file__).parent
CACHE: Final = HERE.parents[1] / ".kafka"
MOST_BROKERS: Final = 3
INSTALLED_WITHIN_S: Final = 240.0


class Kafka(NamedTuple):
    java: str
    options: tuple[str, ...]
    """Of the JVM: its class path and its archive of loaded classes."""

    def formatted(self, number: int) -> Path:
        """A storage folder for the broker of that number, to be copied."""
        return CACHE / "formatted" / str(number)


def installed(lock: Path) -> Kafka:
    """Skips the test where Java is missing, or Maven where it is needed.

    `lock` is the run's: a broker is started to see which classes it loads.
    """
    java = _program("java", "Debian's openjdk-17-jre-headless")
    classes = f"-XX:SharedArchiveFile={CACHE / 'classes.jsa'}"
    kafka = Kafka(java, (classes, "-Xlog:cds=off", "-cp", f"{CACHE / 'lib'}/*"))
    # The archive is of one build of Java alone.
    wanted = hashlib.sha256(f"{Path(java).resolve()} {Path(java).stat().st_mtime_ns}".encode())
    for file in (HERE / "pom.xml", Path(__file__)):
        wanted.update(file.read_bytes())
    stamp = CACHE / "stamp"
    CACHE.mkdir(exist_ok=True)
    with held(CACHE / "lock", timeout_s=INSTALLED_WITHIN_S):
        if not stamp.exists() or stamp.read_text() != wanted.hexdigest():
            _install(kafka, lock)
            stamp.write_text(wanted.hexdigest())
    return kafka


def free_ports(count: int) -> list[int]:
    """Of the loopback interface; below those that the system gives to clients.

    Of those, a client that connects to a killed broker's port may be given that very port, and
    so be connected to itself.
    """
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                server.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def _program(name: str, where: str) -> str:
    if (found := shutil.which(name)) is None:
        pytest.skip(f"{name} is missing, without which there is no Kafka to test on ({where})")
    return found


def _install(kafka: Kafka, lock: Path) -> None:
    maven = _program("mvn", "Debian's maven")
    for made in ("lib", "formatted"):
        shutil.rmtree(CACHE / made, ignore_errors=True)
    for made in ("stamp", "classes.jsa"):
        (CACHE / made).unlink(missing_ok=True)
    copy = ("-DincludeScope=runtime", f"-DoutputDirectory={CACHE / 'lib'}")
    _run(maven, "-q", "-B", "-f", HERE / "pom.xml", "dependency:copy-dependencies", *copy)
    with tempfile.TemporaryDirectory(prefix="kafka-install-", dir=lock.parent) as folder:
        for number in range(1, MOST_BROKERS + 1):
            _format(kafka, number, Path(folder))
        _archive_classes(kafka, Path(folder), lock)


def _format(kafka: Kafka, number: int, folder: Path) -> None:
    properties = folder / f"{number}.properties"
    properties.write_text(f"""\
process.roles=broker,controller
node.id={number}
controller.quorum.voters={number}@127.0.0.1:1
listeners=PLAINTEXT://127.0.0.1:2,CONTROLLER://127.0.0.1:1
controller.listener.names=CONTROLLER
log.dirs={kafka.formatted(number)}
""")
    # Without the archive, which is not there yet.
    run = (kafka.java, *JVM, *kafka.options[1:], "kafka.tools.StorageTool")
    _run(*run, "format", "-t", CLUSTER_ID, "-c", properties)


def _archive_classes(kafka: Kafka, folder: Path, lock: Path) -> None:
    """Of a broker that serves; with it, a start takes half the time and half the processor's."""
    port, controller = free_ports(2)
    broker = Broker(folder / "broker", number=1, voters={1: controller}, port=port)
    broker.prepare(kafka.formatted(1))
    archive = f"-XX:ArchiveClassesAtExit={CACHE / 'classes.jsa'}"
    broker.spawn(kafka.java, archive, *kafka.options[1:], lock=lock)
    try:
        await_ready([broker])
    finally:
        end([broker.folder], grace_s=READY_WITHIN_S)
    assert (CACHE / "classes.jsa").exists(), broker.said()


def _run(*words: str | Path) -> None:
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stdout + done.stderr)[-3000:]
        raise RuntimeError(f"{Path(words[0]).name} ended with {done.returncode}: {said}")
