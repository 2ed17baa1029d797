"""examples/rebuild_balances.py, as a consumer would start it: on a real ledger, mirror and API."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from kafka import KafkaAdminClient, KafkaProducer

from infrastructure.kafka.records import sent, source_of
from infrastructure.kafka.topics import PARTITIONS, topics_of
from tests.fixtures.fix_events import History
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_processes import Api, Process, Rest, System
from tests.fixtures.fix_tally import PATIENCE_S, ROOT, Ran, environment

if TYPE_CHECKING:
    from tests.fixtures.fix_kafka import SharedBroker

EXAMPLE = ROOT / "examples" / "rebuild_balances.py"
NOBODY = "127.0.0.1:1"


def consume(folder: Path, *arguments: str, **more: str) -> Ran:
    """Runs the example outside of the project, so that it can use nothing of ours."""
    ran = subprocess.run(
        [sys.executable, "-P", str(EXAMPLE), *arguments],
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE_S,
        check=False,
        cwd=folder,
        env=environment(PYTHONPATH="", no_proxy="127.0.0.1", **more),
        stdin=subprocess.DEVNULL,
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


class Ledger:
    """A ledger with its API and workers, and a mirror that can be started and stopped."""

    def __init__(self, system: System, kafka: SharedBroker, store: Store, folder: Path) -> None:
        self._system, self._kafka, self._name, self._folder = system, kafka, store.ledger, folder
        self.api: Api = system.api(TALLY_LEDGER=store.ledger)
        system.program(
            "project",
            TALLY_DSN=store.app_dsn,
            TALLY_LEDGER=store.ledger,
            TALLY_LOG_LEVEL="warning",
        )
        self.mirror: Process = self._mirrored(store)

    def _mirrored(self, store: Store) -> Process:
        return self._system.program(
            "mirror",
            TALLY_DSN=store.app_dsn,
            TALLY_KAFKA_BOOTSTRAP=self._kafka.bootstrap,
            TALLY_LEDGER=store.ledger,
            TALLY_LOG_LEVEL="warning",
        )

    def consume(self, *arguments: str) -> Ran:
        return consume(
            self._folder,
            *("--bootstrap", self._kafka.bootstrap, "--ledger", self._name),
            *("--url", self.api.url, *arguments),
            TALLY_KEY=self._system.keys["reporter"],
        )

    def do(self, what: Callable[[Rest], Awaitable[int]]) -> int:
        """Gives the position that it comes to."""

        async def run() -> int:
            async with self._system.rest() as rest:
                return await what(rest)

        return asyncio.run(run())

    async def busy(self, rest: Rest) -> int:
        await rest.open(self.api, "cash", normal_side="debit", overdraft_limit=None)
        await rest.open(self.api, "alice", "bob", "idle")
        await rest.pay(self.api, "cash", "alice", 1000)
        await rest.pay(self.api, "alice", "bob", 30)
        await rest.pay(self.api, "bob", "alice", 7)
        return (await rest.pay(self.api, "bob", "cash", 2)).position

    async def hold(self, rest: Rest) -> int:
        """One that stays, one that is over in a second, and two that are taken or given back."""
        for key, amount, more in (
            ("stays", 5, {}),
            ("over", 6, {"hold_timeout_s": 1}),
            ("taken", 7, {}),
            ("given-back", 8, {}),
        ):
            posting = {"debit": "alice", "credit": "bob", "amount": amount, "currency": "EUR"}
            body = {"postings": [posting], "mode": "hold", **more}
            held = await rest.decided(self.api, "/v1/payments", body, key=key)
            path = f"/v1/payments/{held.body['id']}"
            if key == "taken":
                part = {"amount": 3, "final": False}
                await rest.decided(self.api, f"{path}/capture", part)
            if key == "given-back":
                await rest.decided(self.api, f"{path}/void", {})
        await asyncio.sleep(1.1)
        return (await rest.pay(self.api, "alice", "bob", 1)).position

    async def many(self, rest: Rest) -> int:
        """More accounts than a page of the API's list has."""
        await rest.open(self.api, *(f"many:{number}" for number in range(501)))
        return (await rest.pay(self.api, "cash", "many:500", 5)).position

    async def more(self, rest: Rest) -> int:
        await rest.open(self.api, "late")
        return (await rest.pay(self.api, "alice", "late", 70)).position


@pytest.fixture
def ledger(system: System, kafka: SharedBroker, kafka_store: Store, tmp_path: Path) -> Ledger:
    return Ledger(system, kafka, kafka_store, tmp_path)


def rows(ran: Ran) -> dict[str, list[str]]:
    return {line.split()[0]: line.split()[1:] for line in ran.out.splitlines()}


@pytest.mark.slow
def test_balances_rebuilt_from_kafka_alone_are_those_of_the_api(ledger: Ledger) -> None:
    ledger.do(ledger.busy)
    end = ledger.do(ledger.many)
    ran = ledger.consume("--position", str(end))
    assert ran.code == 0, ran
    assert rows(ran)["alice"] == ["EUR", "977/0/0", "977/0/0"]
    assert rows(ran)["cash"] == ["EUR", "1003/0/0", "1003/0/0"]
    assert rows(ran)["many:500"] == ["EUR", "5/0/0", "5/0/0"]
    assert rows(ran)["idle"] == ["EUR", "0/0/0", "0/0/0"]
    assert f"505 accounts at position {end}: all equal" in ran.out


@pytest.mark.slow
def test_what_is_held_is_rebuilt_too(ledger: Ledger) -> None:
    """As of the recorded time: what is past its deadline counts no more."""
    ledger.do(ledger.busy)
    end = ledger.do(ledger.hold)
    ran = ledger.consume("--position", str(end))
    assert ran.code == 0, ran
    assert rows(ran)["alice"] == ["EUR", "973/9/0", "973/9/0"]
    assert rows(ran)["bob"] == ["EUR", "25/0/9", "25/0/9"]


@pytest.mark.slow
def test_an_api_that_is_ahead_is_asked_what_it_was(ledger: Ledger) -> None:
    end = ledger.do(ledger.busy)
    assert ledger.consume("--position", str(end)).code == 0
    ledger.mirror.kill()
    ledger.do(ledger.more)
    ran = ledger.consume()
    assert ran.code == 0, ran
    assert rows(ran)["alice"] == ["EUR", "977/0/0", "977/0/0"]
    assert "late" not in rows(ran)
    assert f"at position {end}: all equal" in ran.out


@pytest.mark.slow
def test_a_balance_that_is_not_what_the_events_add_up_to_is_told(
    ledger: Ledger, system: System
) -> None:
    end = ledger.do(ledger.busy)
    assert ledger.consume("--position", str(end)).code == 0
    system.rows(
        "UPDATE tally_read.balances_g1 SET posted = posted + 1 WHERE account = 'bob' RETURNING 1"
    )
    ran = ledger.consume()
    assert ran.code == 1, ran
    assert rows(ran)["bob"] == ["EUR", "21/0/0", "22/0/0", "differs"]
    assert rows(ran)["alice"] == ["EUR", "977/0/0", "977/0/0"]
    assert "NOT EQUAL" in ran.out


@pytest.mark.slow
def test_a_topic_with_a_gap_adds_up_to_nothing(kafka: SharedBroker, tmp_path: Path) -> None:
    name = f"gap-{secrets.token_hex(6)}"
    topics = topics_of(name)
    with closing(KafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
        admin.create_topics({topics.events: {"num_partitions": PARTITIONS}, topics.progress: {}})
    last = dict.fromkeys(range(PARTITIONS), 0)
    records = [
        sent(record, source_of(name), last)
        for record in History(ledger=name).open("alice").freeze("alice").records()
    ]
    del records[2]
    with closing(KafkaProducer(bootstrap_servers=kafka.bootstrap)) as producer:
        for each in records:
            producer.send(
                topics.events,
                each.value,
                each.key,
                each.headers,
                partition=each.partition,
                timestamp_ms=each.timestamp_ms,
            ).get(PATIENCE_S)
        partitions = {str(partition): position for partition, position in last.items()}
        progress = json.dumps({"position": 4, "partitions": partitions}).encode()
        producer.send(topics.progress, progress, name.encode()).get(PATIENCE_S)
    asked = ("--bootstrap", kafka.bootstrap, "--ledger", name, "--url", f"http://{NOBODY}")
    ran = consume(tmp_path, *asked, TALLY_KEY="tk_none")
    assert ran.code == 1
    assert ran.err == f"a gap: partition {records[0].partition}: before position 4\n"


@pytest.mark.slow
def test_without_a_key_or_a_broker_it_could_not_run(tmp_path: Path) -> None:
    assert consume(tmp_path).code == 2
    ran = consume(tmp_path, "--bootstrap", NOBODY, TALLY_KEY="tk_none")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("could not run: ")
