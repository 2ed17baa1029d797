"""PaySim with Kafka on: the topic holds what the store holds, and so do read models made of it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from projections.registry import PROJECTIONS
from tests.e2e.test_paysim import ROWS, balances, expected
from tests.fixtures.fix_tally import Ran, Up, processes_of, tally, until

if TYPE_CHECKING:
    from tests.fixtures.fix_kafka import SharedBroker

pytestmark = pytest.mark.slow

Start = Callable[..., Up]
NOBODY = "127.0.0.1:1"
LOOK_S = 0.05


@pytest.fixture
def settings(kafka: SharedBroker) -> dict[str, str]:
    """Of a ledger whose topics are no other test's."""
    name = f"test-{secrets.token_hex(6)}"
    return {"TALLY_KAFKA_BOOTSTRAP": kafka.bootstrap, "TALLY_LEDGER": name}


def end(up: Up) -> int:
    return int(up.get("/v1/status")["end"])


def in_balance(up: Up) -> int:
    """The books as they are read now; gives the position they were true at."""
    told: dict[str, Any] = up.get("/v1/trial-balance")
    assert told["balanced"], told
    for sums in told["currencies"]:
        assert sums["total_debits"] == sums["total_credits"], told
    return int(told["position"])


def kept_up(up: Up) -> bool:
    """Whether every read model and the mirror stand where the store ends."""
    status = up.get("/v1/status")
    standings = [*status["projections"].values(), status["mirror"]]
    return all(each and each["position"] == status["end"] for each in standings)


def pay(up: Up, amount: int) -> None:
    """From alice, who has no limit, to bob, who then has it."""
    before = balances(up)["customers:bob"]
    posting = {"debit": "customers:alice", "credit": "customers:bob", "currency": "EUR"}
    up.post("/v1/payments", secrets.token_hex(8), {"postings": [{**posting, "amount": amount}]})
    assert balances(up)["customers:bob"] == before + amount


def opened(up: Up) -> None:
    for name in ("alice", "bob"):
        body = {"id": f"customers:{name}", "currency": "EUR", "overdraft_limit": None}
        up.post("/v1/accounts", name, body, role="admin")


def log_of(up: Up, part: str) -> str:
    return (up.data / "logs" / f"{part}.log").read_text()


def went_on(up: Up, part: str, times: int) -> bool:
    return log_of(up, part).count("goes on from") == times


@pytest.mark.timeout(900)
def test_read_models_fed_from_kafka_are_those_fed_from_the_store(
    start_up: Start,
    settings: dict[str, str],
    paysim: Path,
    tmp_path: Path,
    scaled: Callable[..., int],
    figure: Callable[[str, object], None],
) -> None:
    rows = min(scaled(ROWS), ROWS)
    file = tmp_path / "paysim.csv"
    file.write_text("".join(paysim.read_text().splitlines(keepends=True)[: rows + 1]))
    posted, settled, refused = expected(file)
    up = start_up(TALLY_FEED="kafka", **settings)

    def run(*arguments: str) -> Ran:
        return tally(*arguments, "--json", "--data", str(up.data), within_s=600, **settings)

    looked: list[int] = []
    with ThreadPoolExecutor(1) as thread:
        importing = thread.submit(run, "import", str(file), "--format", "paysim")
        while not importing.done():
            looked.append(in_balance(up))
            time.sleep(LOOK_S)
        imported = importing.result().json
    assert (imported["settled"], imported["refused"]) == (
        settled,
        {"insufficient_funds": refused},
    )
    # It was looked at while it moved, and never went back.
    assert looked == sorted(looked)
    assert len(set(looked)) > 3
    figure(f"PaySim with Kafka, {rows:,} rows: import, s", imported["seconds"])
    figure(f"PaySim with Kafka, {rows:,} rows: positions looked at", len(set(looked)))

    assert balances(up) == posted
    assert in_balance(up) == end(up)
    until(lambda: kept_up(up))
    told = run("status").json
    assert (told["mirror"]["position"], told["mirror"]["lag"]) == (end(up), 0)
    reconciled = run("reconcile", "--kafka")
    assert reconciled.code == 0, reconciled
    assert reconciled.json["topic"] == end(up)
    # The workers read Kafka, and go on from either.
    for name, feed in (*((name, "store") for name in PROJECTIONS), ("balances", "kafka")):
        rebuilt = run("rebuild", name, "--feed", feed)
        assert rebuilt.code == 0, rebuilt
        assert (rebuilt.json["position"], rebuilt.json["same"]) == (end(up), True)
    assert balances(up) == posted
    assert run("reconcile", "--kafka").code == 0


def test_workers_change_their_feed_and_go_on(start_up: Start, settings: dict[str, str]) -> None:
    for number, feed in enumerate(("store", "kafka", "store")):
        up = start_up(TALLY_FEED=feed, **settings)
        if number == 0:
            opened(up)
        pay(up, 100 + number)
        if number:
            for part in ("project-accounts-balances", "project-statements-payments"):
                until(partial(went_on, up, part, 2 * number))
                assert f"goes on from the {feed} feed" in log_of(up, part)
        until(partial(kept_up, up))
        if number == 2:
            assert balances(up) == {"customers:alice": -303, "customers:bob": 303}
            ran = tally("reconcile", "--kafka", "--data", str(up.data), **settings)
            assert ran.code == 0, ran
        assert up.stop() == 0


def test_without_a_broker_all_else_runs_and_the_mirror_comes_later(
    start_up: Start, settings: dict[str, str], tmp_path: Path
) -> None:
    alone = settings | {"TALLY_KAFKA_BOOTSTRAP": NOBODY, "TALLY_KAFKA_TIMEOUT_S": "1"}
    up = start_up(**alone)
    opened(up)
    pay(up, 100)
    until(lambda: "mirror ended with exit code 75; it starts again" in up.errors.read_text())
    told = tally("status", "--json", "--data", str(up.data), **alone).json
    assert told["mirror"]["lag"] == end(up)
    assert tally("reconcile", "--data", str(up.data), **alone).code == 0
    asked = tally("reconcile", "--kafka", "--data", str(up.data), **alone)
    assert asked.code == 2
    assert "Traceback" not in asked.err
    assert up.stop() == 0
    assert processes_of(tmp_path) == set()

    up = start_up(**settings)
    until(lambda: kept_up(up))
    assert tally("reconcile", "--kafka", "--data", str(up.data), **settings).code == 0
    assert up.stop() == 0
    assert processes_of(tmp_path) == set()
