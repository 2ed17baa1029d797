"""`tally up`: everything from one command, and nothing left of it afterwards."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from infrastructure.embedded import EmbeddedPostgres
from tests.fixtures.fix_tally import PROGRAM, Up, alive, environment, processes_of, tally, until

pytestmark = pytest.mark.slow

Start = Callable[..., Up]


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_the_first_start_makes_private_files_and_a_key_per_role(
    start_up: Start, tmp_path: Path
) -> None:
    up = start_up()
    data = tmp_path / "tally"
    assert up.ready == {"url": up.url, "keys_file": str(data / "keys.json")}
    assert set(up.keys) == {"client", "auditor", "reporter", "admin"}
    assert all(key.startswith("tk_") for key in up.keys.values())
    for name in ("keys.json", "secret", "password", "server.json"):
        assert mode(data / name) == 0o600, name
    assert up.get("/v1/status")["end"] == 0


def test_a_second_start_keeps_keys_and_data(start_up: Start) -> None:
    first = start_up()
    first.post("/v1/accounts", "open", {"id": "customers:alice", "currency": "EUR"})
    assert first.stop() == 0
    second = start_up()
    assert second.keys == first.keys
    until(lambda: second.get("/v1/accounts")["items"])
    assert second.get("/v1/accounts/customers:alice")["currency"] == "EUR"


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_leaves_nothing_running(start_up: Start, tmp_path: Path, by: signal.Signals) -> None:
    up = start_up()
    pids = {up.process.pid, *up.parts.values()} | processes_of(tmp_path)
    server = EmbeddedPostgres(tmp_path / "tally").pid
    assert server is not None
    assert len(pids) >= 4
    assert up.stop(by) == 0
    assert [pid for pid in (*pids, server) if alive(pid)] == []
    assert processes_of(tmp_path) == set()
    assert not (tmp_path / "tally" / "server.json").exists()


def test_the_parts_end_when_their_supervisor_is_killed(start_up: Start, tmp_path: Path) -> None:
    up = start_up()
    parts = up.parts
    up.stop(signal.SIGKILL)
    until(lambda: not any(alive(pid) for pid in parts.values()))
    # PostgreSQL lives on; the next start finds it, and its stop stops it.
    again = start_up()
    assert again.get("/v1/status")["end"] == 0
    assert again.stop() == 0
    assert processes_of(tmp_path) == set()


def test_a_part_that_is_killed_comes_back_on_the_same_port(start_up: Start) -> None:
    up = start_up()
    for name, pid in up.parts.items():
        os.kill(pid, signal.SIGKILL)
        until(lambda name=name, pid=pid: up.parts.get(name, pid) != pid)
        assert f"{name} was ended by SIGKILL; it starts again" in up.errors.read_text()
    up.post("/v1/accounts", "open", {"id": "customers:alice", "currency": "EUR"})
    until(lambda: up.get("/v1/balances")["items"])


def test_the_embedded_server_comes_back_with_all_that_was_answered(
    start_up: Start, tmp_path: Path
) -> None:
    up, server = start_up(), EmbeddedPostgres(tmp_path / "tally")
    alice = {"id": "customers:alice", "currency": "EUR"}
    opened = up.post("/v1/accounts", "open", alice)
    killed = server.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    until(lambda: server.pid not in (None, killed))
    assert "PostgreSQL has ended; it is started again" in up.errors.read_text()

    def again() -> Any:
        with suppress(HTTPError):  # 503, until it answers
            return up.post("/v1/accounts", "open", alice)

    until(again)
    assert again() == opened
    assert up.post("/v1/accounts", "next", alice | {"id": "customers:bob"})["position"] == 4
    until(lambda: len(up.get("/v1/balances")["items"]) == 2)
    assert up.stop() == 0
    assert server.pid is None


def test_two_at_a_time_on_one_folder_are_one_too_many(start_up: Start, tmp_path: Path) -> None:
    up = start_up()
    second = tally("up", "--json", "--port", "0", "--data", str(tmp_path / "tally"))
    assert second.code == 2
    assert second.out == ""
    assert "already" in second.err
    assert str(up.process.pid) in second.err
    assert len(second.err.splitlines()) == 1


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = tally("up", "--port", str(port), "--data", str(tmp_path / "tally"))
    assert ran.code == 2
    assert f"port {port}" in ran.err
    assert "Traceback" not in ran.err
    assert processes_of(tmp_path) == set()


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    ran = tally("up", "--data", str(tmp_path / "tally"), TALLY_QUEUE_SIZE="many")
    assert ran.code == 2
    assert "TALLY_QUEUE_SIZE" in ran.err
    assert "Traceback" not in ran.err


def test_another_secret_than_the_stores_stops_the_start(start_up: Start, tmp_path: Path) -> None:
    start_up().stop()
    ran = tally("up", "--data", str(tmp_path / "tally"), TALLY_SECRET="quite another one")
    assert ran.code == 2
    assert "TALLY_SECRET" in ran.err
    assert processes_of(tmp_path) == set()


def test_a_stop_that_comes_during_the_start_is_heard(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*PROGRAM, "up", "--json", "--port", "0", "--data", str(tmp_path / "tally")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    ) as up:
        until((tmp_path / "tally" / "pg.start.log").exists)
        up.terminate()
        out, said = up.communicate(timeout=60)
    assert up.returncode == 0, said.decode()
    assert out == b""
    assert processes_of(tmp_path) == set()


def test_it_runs_on_a_postgresql_of_the_operators(
    start_up: Start, tmp_path: Path, own_server: str
) -> None:
    up = start_up(TALLY_OWNER_DSN=own_server)
    assert not (tmp_path / "tally" / "pg").exists()
    up.post("/v1/accounts", "open", {"id": "customers:alice", "currency": "EUR"})
    status = tally("status", "--json", "--data", str(tmp_path / "tally"))
    assert (status.code, status.json["end"]) == (0, 2)
    # No part knows the owner's password.
    for pid in up.parts.values():
        assert b"TALLY_OWNER_DSN" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_no_secret_is_on_a_command_line(start_up: Start, tmp_path: Path) -> None:
    up = start_up()
    data = tmp_path / "tally"
    secrets = [(data / name).read_text().strip() for name in ("secret", "password")]
    secrets += json.loads((data / "keys.json").read_text()).values()
    for pid in up.parts.values():
        words = Path(f"/proc/{pid}/cmdline").read_text()
        assert [secret for secret in secrets if secret in words] == []
