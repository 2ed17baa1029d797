"""Parts are kept running, and end with their supervisor. Real processes, no product."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from api.supervisor import Part, StopSignals, Supervisor

PYTHON = (sys.executable, "-P", "-c")
ROOT = Path(__file__).parents[3]
SLEEPER = "import time; time.sleep(60)"
TALKER = """
import itertools, time
for number in itertools.count(1):
    print(number, flush=True)
    time.sleep(0.001)
"""
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(60)
"""


def until(what: Callable[[], object], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether it runs; one that waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


class Watched:
    """A supervisor, and what it said and told."""

    def __init__(self, tmp_path: Path, **scripts: str) -> None:
        self.said: list[str] = []
        self.pids: dict[str, int] = {}
        self.supervisor = Supervisor(
            [
                Part(name=name, arguments=(script,), like=name.removesuffix("-2"))
                for name, script in scripts.items()
            ],
            program=PYTHON,
            environment=dict(os.environ),
            logs=tmp_path,
            say=self.said.append,
            changed=self.pids.update,
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Watches until the block ends, in this thread: signals only reach the main one."""
        self.supervisor.start()
        try:
            yield
        finally:
            self.supervisor.stop()

    def watch(self, until_: Callable[[], object]) -> None:
        """Watches until it has come to pass, then is asked to stop as by Ctrl-C."""

        def ask() -> None:
            try:
                until(until_)
            finally:
                os.kill(os.getpid(), signal.SIGINT)

        asking = threading.Thread(target=ask)
        with StopSignals() as signals:
            asking.start()
            self.supervisor.watch(signals)
            asking.join()


def test_a_part_that_dies_is_started_again_and_it_says_so(tmp_path: Path) -> None:
    watched = Watched(tmp_path, sleeper=SLEEPER)
    with watched.running():
        first = watched.pids["sleeper"]
        os.kill(first, signal.SIGKILL)
        watched.watch(lambda: watched.pids["sleeper"] != first)
        assert alive(watched.pids["sleeper"])
    assert "sleeper was ended by SIGKILL; it starts again in 0.2 s" in watched.said[0]
    assert not alive(watched.pids["sleeper"])


def test_a_part_that_keeps_dying_waits_longer_each_time(tmp_path: Path) -> None:
    watched = Watched(tmp_path, broken="raise SystemExit(3)")
    with watched.running():
        watched.watch(lambda: len(watched.said) == 3)
    waits = [message.split(" in ")[1].split(" s ")[0] for message in watched.said]
    assert waits == ["0.2", "0.4", "0.8"]
    assert "ended with exit code 3" in watched.said[0]


def test_a_part_that_does_not_start_is_told_with_the_last_line_of_its_log(tmp_path: Path) -> None:
    watched = Watched(tmp_path, broken="raise SystemExit('TALLY_DSN is missing')")
    with watched.running():
        failures: list[str] = []

        def failed() -> bool:
            if failure := watched.supervisor.failed_to_start():
                failures.append(failure)
            return bool(failures)

        until(failed)
    assert failures == ["broken ended with exit code 1: TALLY_DSN is missing"]


def test_parts_stop_in_their_order(tmp_path: Path) -> None:
    script = """
import signal, sys, time
def end(*_):
    began = time.monotonic()
    time.sleep(0.5)
    print(began, time.monotonic(), flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
time.sleep(60)
"""
    scripts = dict.fromkeys(("first", "first-2", "second"), script)
    watched = Watched(tmp_path, **scripts)
    logs = [tmp_path / f"{name}.log" for name in scripts]
    with watched.running():
        until(lambda: all(log.read_text() for log in logs))
    first, like_it, second = (
        [float(at) for at in log.read_text().splitlines()[1].split()] for log in logs
    )
    assert like_it[0] < first[1]  # none of them waits for the other
    assert max(first[1], like_it[1]) <= second[0]


def test_a_part_that_does_not_stop_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.supervisor.GRACE_S", 0.2)
    watched = Watched(tmp_path, stubborn=STUBBORN)
    with watched.running():
        until((tmp_path / "stubborn.log").read_text)
        pid = watched.pids["stubborn"]
    assert not alive(pid)
    assert "was killed" in watched.said[-1]


def test_a_part_ends_when_its_supervisor_is_killed() -> None:
    script = """
import sys, time
from api.supervisor import end_with_supervisor
end_with_supervisor()
print("up", flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [*PYTHON, script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as part:
        try:
            assert part.stdout is not None
            assert part.stdin is not None
            assert part.stdout.readline() == b"up\n"
            part.stdin.close()  # what the kernel does for a process that is gone
            assert part.wait(10) == -signal.SIGTERM
        finally:
            part.kill()


def test_a_log_begins_anew_while_its_part_writes_and_one_old_one_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.supervisor.LOG_BYTES", 1000)
    log, old = tmp_path / "talker.log", tmp_path / "talker.log.1"
    log.write_text("0\n" * 1000)
    watched = Watched(tmp_path, talker=TALKER)
    with watched.running():
        first = watched.pids["talker"]
        # A second time: what was there at the start is put aside at once.
        watched.watch(lambda: old.exists() and old.read_text()[:1] > "0")
        assert watched.pids["talker"] == first
    assert set(tmp_path.iterdir()) == {log, old}
    numbers = [int(line) for file in (old, log) for line in file.read_text().splitlines()]
    assert numbers == sorted(set(numbers))
