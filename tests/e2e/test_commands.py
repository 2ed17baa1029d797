"""Each command on a running product: what it prints, and how it ends."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import psycopg
import pytest

from infrastructure.embedded import EmbeddedPostgres
from tests.fixtures.fix_tally import PATIENCE_S, PROGRAM, Up, environment, processes_of, tally

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("doctor",),
        ("reconcile",),
        ("keys", "list"),
        ("migrate",),
        ("rebuild", "balances"),
        ("demo", "--purchases", "20", "--people", "4"),
    ],
    ids=" ".join,
)
def test_a_command_prints_one_object_and_ends_well(product: Up, command: tuple[str, ...]) -> None:
    ran = tally(*command, "--json", "--data", str(product.data))
    assert ran.code == 0, ran.err
    assert isinstance(ran.json, dict)
    assert len(ran.out.splitlines()) == 1
    shown = tally(*command, "--data", str(product.data))
    assert shown.code == 0, shown.err
    assert shown.out


@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("doctor", "--jsn"),
        ("import", "missing.csv"),
        ("reconcile",),
        ("keys", "list"),
        ("rebuild", "colours"),
        ("project", "colours"),
        ("serve",),
        ("import", "--url", "http://127.0.0.1:1", "missing.csv"),
        ("paycode",),
        ("paycode", "--account", "a", "--max-amount", "0"),
        ("paycode", "--account", "a", "--max-amount", "9"),
        ("paycode", "--account", "a", "--max-amount", "9", "--currency", "XAU"),
        ("paycode", "--account", "a", "--max-amount", "9", "--offline", "1234567"),
        ("paycode", "--offline", "12", "--secret", "A" * 32),
        ("paycode", "--offline", "1234567", "--secret", "A1"),
        ("paycode", "--offline", "1234567", "--secret", "A" * 32, "--png", "no/folder.png"),
        ("cashier", "--account", "a"),
        ("cashier", "--account", "a", "--amount", "9"),
        ("cashier", "--account", "a", "--amount", "9", "--code", "1", "--png", "code.png"),
        ("cashier", "--account", "a", "--amount", "9", "--carrier", "pigeon"),
        ("nonsense",),
    ],
    ids=" ".join,
)
def test_what_can_not_run_says_so_in_a_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    ran = tally(*command, cwd=tmp_path)
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err
    assert "Traceback" not in ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_doctor_without_a_store_says_no_and_what_to_do(tmp_path: Path) -> None:
    ran = tally("doctor", "--json", cwd=tmp_path)
    assert ran.code == 1
    assert not ran.json["well"]
    assert "tally up" in ran.json["checks"][-1]["found"]


@pytest.mark.parametrize("name", ["secret", "owner-password", "keys.json"])
def test_a_doctor_sees_a_file_that_others_may_read(product: Up, name: str) -> None:
    (product.data / name).chmod(0o644)
    ran = tally("doctor", "--json", "--data", str(product.data))
    (product.data / name).chmod(0o600)
    assert ran.code == 1
    assert [each["check"] for each in ran.json["checks"] if not each["ok"]] == [name]


def test_a_doctor_sees_a_role_that_could_change_events(product: Up) -> None:
    with EmbeddedPostgres(product.data) as server:
        ran = tally("doctor", "--json", "--data", str(product.data), TALLY_DSN=server.owner_dsn)
    assert ran.code == 1
    (unwell,) = [each for each in ran.json["checks"] if not each["ok"]]
    assert unwell["check"] == "role"
    assert "TALLY_DSN" in unwell["do"]


def test_a_key_is_made_shown_once_and_revoked(product: Up) -> None:
    data = ("--data", str(product.data))
    made = tally("keys", "create", "--name", "shop", "--role", "client", "--json", *data).json
    assert made["key"].startswith("tk_")
    client = {"TALLY_KEY": made["key"]}
    assert tally("status", "--url", product.url, **client).code == 0
    listed = tally("keys", "list", "--json", *data)
    assert made["key"] not in listed.out
    assert tally("keys", "revoke", made["key_id"], *data).code == 0
    assert tally("keys", "revoke", "key_none", *data).code == 1
    (revoked,) = [
        key for key in tally("keys", "list", "--json", *data).json["items"] if key["revoked_at"]
    ]
    assert revoked["key_id"] == made["key_id"]


@pytest.mark.parametrize(
    "arguments", [("--name", "tallystick", "--role", "client"), ("--name", "a", "--role", "king")]
)
def test_a_key_that_can_not_be_is_refused(product: Up, arguments: tuple[str, ...]) -> None:
    ran = tally("keys", "create", *arguments, "--data", str(product.data))
    assert ran.code == 2
    assert len(ran.err.splitlines()) == 1


def test_reconcile_says_no_and_names_what_was_altered(product: Up) -> None:
    product.post("/v1/accounts", "altered", {"id": "customers:altered", "currency": "EUR"})
    assert tally("reconcile", "--data", str(product.data)).code == 0
    with (
        EmbeddedPostgres(product.data) as server,
        psycopg.connect(server.owner_dsn, autocommit=True) as conn,
    ):
        (generation,) = conn.execute(
            "SELECT generation FROM tally_read.pointers WHERE projection = 'balances'"
        ).fetchone() or (0,)
        table = f"tally_read.balances_g{generation}"
        alter = f"UPDATE {table} SET posted = posted + %s WHERE account = 'customers:altered'"
        conn.execute(alter.encode(), (1,))
        ran = tally("reconcile", "--json", "--data", str(product.data))
        conn.execute(alter.encode(), (-1,))
    assert ran.code == 1
    assert any("customers:altered" in difference for difference in ran.json["differences"])


def test_status_says_that_executions_wait_where_payments_are_not_followed(product: Up) -> None:
    data = ("--data", str(product.data))
    assert tally("status", "--json", *data).json["executions_wait"] is False
    halt = (
        "UPDATE tally_read.checkpoints SET halted_position = %s, halted_reason = %s"
        " WHERE projection = 'payments'"
    )
    with (
        EmbeddedPostgres(product.data) as server,
        psycopg.connect(server.owner_dsn, autocommit=True) as conn,
    ):
        conn.execute(halt, (1, "it can't be applied"))
        told, shown = tally("status", "--json", *data), tally("status", *data)
        conn.execute(halt, (None, None))
    assert told.json["executions_wait"] is True
    assert told.code == shown.code == 1
    assert "Executions wait" in shown.out
    assert "Executions wait" not in tally("status", *data).out


def test_the_parts_run_alone_on_the_folder(tmp_path: Path) -> None:
    data = ("--data", str(tmp_path / "tally"))
    assert tally("migrate", *data).code == 0
    made = tally("keys", "create", "--name", "a", "--role", "client", "--json", *data).json
    with subprocess.Popen(
        [*PROGRAM, "serve", "--json", "--port", "0", *data],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(),
    ) as serving:
        try:
            assert serving.stdout is not None
            ready = json.loads(serving.stdout.readline())
            assert set(ready) == {"url", "keys_file"}
            ran = tally("status", "--json", "--url", ready["url"], TALLY_KEY=made["key"])
            assert (ran.code, ran.json["end"]) == (0, 0)
        finally:
            serving.terminate()
        assert serving.wait(PATIENCE_S) == 0
    assert processes_of(tmp_path) == set()


def test_the_demo_on_scratch_leaves_nothing(tmp_path: Path) -> None:
    ran = tally(
        "demo", "--scratch", "--json", "--purchases", "300", cwd=tmp_path, TMPDIR=str(tmp_path)
    )
    assert ran.code == 0, ran.err
    day = ran.json
    assert day["balanced"]
    assert day["payments"] == day["settled"] + sum(day["refused"].values())
    assert day["by_phone"]["payments"] == 30
    by_carrier = {item["carrier"]: item["payments"] for item in day["carriers"]}
    assert sum(by_carrier.values()) == day["settled"]
    assert set(by_carrier) == {"api", "qr", "barcode", "nfc", "sonic", "link"}
    assert sum(by_carrier.values()) - by_carrier["api"] <= 30
    assert {"account_frozen", "insufficient_funds"} <= day["refused"].keys()
    assert sum(day["balances"].values()) == 2 * day["balances"]["bank"]
    assert list(tmp_path.iterdir()) == []
    assert "its data are" not in ran.err  # somewhere else, where they would stay
    assert processes_of(tmp_path) == set()
