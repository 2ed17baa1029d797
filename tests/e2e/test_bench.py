"""`tally bench` for real, but shortly: what it counts is what the store has, and it can say no."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from api.bench.books import Books
from api.bench.filling import EVENTS_A_PAYMENT
from api.bench.own import own_ledger
from api.bench.replays import PAYMENTS_AN_ACCOUNT
from infrastructure.embedded import DATABASE
from tests.fixtures.fix_folders import open_folder
from tests.fixtures.fix_tally import (
    PATIENCE_S,
    PROGRAM,
    Up,
    environment,
    processes_of,
    tally,
    until,
    words_of,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SECONDS = 0.5
ACCOUNTS = 50
SHORT = (
    *("--json", "--rounds", "1", "--seconds", str(SECONDS)),
    *("--accounts", str(ACCOUNTS), "--connections", "4"),
)
READ_AGAIN = ACCOUNTS * PAYMENTS_AN_ACCOUNT * EVENTS_A_PAYMENT
"""Events, those of openings left out."""
WITHIN_S = 600


def scenarios(*names: str) -> list[str]:
    return [word for name in names for word in ("--scenario", name)]


def keys(product: Up) -> dict[str, str]:
    return {"TALLY_KEY": product.keys["client"], "TALLY_ADMIN_KEY": product.keys["admin"]}


@pytest.fixture(scope="module")
def measured() -> Iterator[tuple[dict[str, Any], Path]]:
    """What a benchmark printed, and the file that it wrote; it has left nothing else."""
    with open_folder() as folder:
        file, temporary = folder / "results.json", folder / "temporary"
        temporary.mkdir(mode=0o755)
        ran = tally(
            "bench", *SHORT, "--out", str(file),
            *scenarios("single spread", "holds", "bulk mixed with singles", "reads", "lag"),
            *scenarios("replay", "rebuild"),
            within_s=WITHIN_S, TMPDIR=str(temporary),
        )  # fmt: skip
        assert ran.code == 0, ran.err
        assert list(temporary.iterdir()) == []
        assert processes_of(temporary) == set()
        yield ran.json, file


def test_a_benchmark_counts_what_it_did_and_proves_its_books(
    measured: tuple[dict[str, Any], Path],
) -> None:
    found, file = measured
    assert found["good"]
    assert set(found["books"]) == {
        "write path alone", "one commit a command", "with projections", "what is read again",
    }  # fmt: skip
    for proof in found["books"].values():
        assert proof["committed"] == proof["answered"] > 0
        assert proof["sums"] == {"EUR": 0}
    assert found["T"] == max(found["pgbench"].values()) > 0
    assert found["pgbench"].keys() == {"8", "32"}
    assert {row["scenario"] for row in found["rows"]} > {"single spread", "replay", "rebuild"}
    for row in found["rows"]:
        check_row({**row, "cpu": {**row["cpu"]}}, found["T"])
    # What the machine does is sampled, tick by tick: in half a second that is off by a fifth.
    others = [row["cpu"]["others"] for row in found["rows"] if row["setup"] != "one process"]
    assert statistics.mean(others) > -0.1
    worth, *unit = found["machine"]["all at once"].split()
    assert float(worth) > 0
    assert unit == ["times", "one"]
    assert set(found["takes"]) == set(found["books"]) - {"what is read again"}
    for takes in found["takes"].values():
        assert 0 < takes["start_s"] < WITHIN_S
        assert all(20 < takes["memory_mb"][part] < 2_000 for part in ("serve", "writer"))
        assert 50 < takes["event_bytes"] < 5_000
    (lag,) = [row for row in found["rows"] if row["scenario"] == "lag"]
    assert 0 < lag["lag_p50_ms"] <= lag["lag_p99_ms"]
    assert {**json.loads(file.read_text()), "good": True, "fallen": []} == found


def check_row(row: dict[str, Any], reference: float) -> None:
    assert row["rate"] > 0, row
    if row["scenario"] != "lag":
        assert row["ratio"] == pytest.approx(row["rate"] / reference)
    del row["cpu"]["others"]
    parts = {name.partition("-")[0] for name in row["cpu"]}
    processors = os.cpu_count() or 1
    if row["setup"] == "one process":
        assert parts == {"workers" if row["scenario"] == "replay" else "rebuild", "postgres"}
        took_s = READ_AGAIN / row["rate"]
        # Each part's time is known to a tick.
        ticks_s = len(parts) / os.sysconf("SC_CLK_TCK")
        assert 0 <= sum(row["cpu"].values()) < processors + ticks_s / took_s
        assert row["scenario"] == "replay" or sum(row["cpu"].values()) > 0
        return
    workers = {"project"} if row["setup"] == "with projections" else set()
    assert parts == {"serve", "writer", "postgres", "load", "bench"} | workers
    assert row["does"] == "bulk" or 0 < row["p50_ms"] <= row["p99_ms"] <= row["longest_ms"]
    assert 0 < sum(row["cpu"].values()) < processors + 0.2


def test_a_ratio_that_has_fallen_is_a_no(
    measured: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    was = json.loads(measured[1].read_text())
    for row in was["rows"]:
        row["ratio"] = 100.0 if row["connections"] == 4 else 0.0001
    (before := tmp_path / "before.json").write_text(json.dumps(was))
    ran = tally(
        "bench", *SHORT, *scenarios("single spread"), "--no-workers", "--no-one-commit",
        "--baseline", str(before), within_s=WITHIN_S,
    )  # fmt: skip
    assert ran.code == 1, ran.err
    assert ran.json["good"]
    (line,) = ran.json["fallen"]
    assert line.startswith("single spread, write path alone, spread, 4: ")


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_benchmark_that_is_stopped_leaves_nothing(tmp_path: Path, by: signal.Signals) -> None:
    with subprocess.Popen(
        [*PROGRAM, "bench", *SHORT, "--seconds", "3", *scenarios("single hot"), "--no-pgbench"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(TMPDIR=str(tmp_path)),
        start_new_session=True,
    ) as bench:
        until(lambda: load_of(tmp_path))
        os.killpg(bench.pid, by) if by is signal.SIGINT else bench.send_signal(by)
        told, said = bench.communicate(timeout=PATIENCE_S)
    assert bench.returncode == 2
    assert told == ""
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []
    assert processes_of(tmp_path) == set()


def load_of(folder: Path) -> bool:
    """Whether a load runs for the benchmark there."""
    return any(b"api.bench.load" in words_of(pid) for pid in processes_of(folder))


def test_a_product_is_measured_by_its_url(product: Up) -> None:
    ran = tally(
        "bench", *SHORT, *scenarios("single hot", "mixed"), "--url", product.url,
        within_s=WITHIN_S, **keys(product),
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert ran.json["T"] is None
    assert {row["does"] for row in ran.json["rows"]} == {"hot", "spread", "holds", "reads"}
    assert all(row["rate"] > 0 for row in ran.json["rows"])
    (proof,) = ran.json["books"].values()
    assert proof["committed"] == proof["answered"] > 0


def test_a_payment_that_no_answer_told_of_makes_the_books_wrong(product: Up) -> None:
    """Planted while the benchmark runs, by somebody who uses the ledger as well."""
    for name in ("one", "other"):
        account = {"id": f"planted:{name}", "currency": "EUR", "overdraft_limit": None}
        product.post("/v1/accounts", f"planted-{name}", account, role="admin")
    end = product.get("/v1/status")["end"]
    with subprocess.Popen(
        [*PROGRAM, "bench", *SHORT, *scenarios("single spread"), "--url", product.url],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(**keys(product)),
    ) as bench:
        deadline = time.monotonic() + PATIENCE_S
        while product.get("/v1/status")["end"] == end:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        posting = {"debit": "planted:one", "credit": "planted:other", "amount": 1}
        product.post("/v1/payments", "planted", {"postings": [{**posting, "currency": "EUR"}]})
        told, _ = bench.communicate(timeout=WITHIN_S)
    assert bench.returncode == 1
    found = json.loads(told)
    (proof,) = found["books"].values()
    assert proof["committed"] - proof["answered"] == 3
    assert not found["good"]


def test_a_balance_that_was_altered_makes_the_books_wrong() -> None:
    with own_ledger() as own:
        dsn = own.dsn(DATABASE)
        with own.running(dsn, workers=True) as running:
            up = running.product
            ran = tally(
                "bench", *SHORT, *scenarios("single hot"), "--url", up.url,
                within_s=WITHIN_S, TALLY_KEY=up.key, TALLY_ADMIN_KEY=up.key_of_admin(),
            )  # fmt: skip
            assert ran.code == 0, ran.err
        report = own.reconciled(dsn)
        assert report.good
        with psycopg.connect(own.owner_dsn(DATABASE), autocommit=True) as connection:
            (generation,) = connection.execute(
                "SELECT generation FROM tally_read.pointers WHERE projection = 'balances'"
            ).fetchone() or (0,)
            table = f"tally_read.balances_g{generation}"
            altered = connection.execute(
                f"UPDATE {table} SET posted = posted + 1 WHERE account LIKE '%:hot'".encode()
            )
            assert altered.rowcount == 1
        report = own.reconciled(dsn)
    proof = Books(report.end).proved(report.end, sums=report.sums, differences=report.differences)
    assert not proof.good
    assert ":hot" in proof.differences[0]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--scenario", "colours"),
        ("--baseline", "missing.json"),
        ("--url", "http://127.0.0.1:1"),
        ("--seconds", "0"),
    ],
    ids=" ".join,
)
def test_what_can_not_be_measured_says_so(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ran = tally("bench", *arguments, cwd=tmp_path, TALLY_KEY="tk_none", TALLY_ADMIN_KEY="tk_none")
    assert ran.code == 2
    assert ran.out == ""
    assert "Traceback" not in ran.err
