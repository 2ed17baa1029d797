"""Who has used the processors, from /proc."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from api.bench.cpu import OTHERS, Processes, shares, used_s
from api.bench.machine import file_system, work

BUSY = "import time; end = time.process_time() + 0.4\nwhile time.process_time() < end: pass"
"""More than is asked for below: /proc counts whole ticks."""


def test_a_process_that_works_is_seen_and_one_that_is_gone_is_none() -> None:
    with subprocess.Popen([sys.executable, "-c", f"{BUSY}\ninput()"], stdin=-1) as busy:
        deadline = time.monotonic() + 20
        while used_s(busy.pid) < 0.3:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert used_s(busy.pid) < 2
        busy.kill()
    assert used_s(busy.pid) == 0


def test_children_count_for_postgres_while_they_live_and_when_they_have_ended() -> None:
    script = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {BUSY!r}], check=True)
with subprocess.Popen([sys.executable, "-c", {BUSY!r} + "\\ninput()"], stdin=-1) as living:
    input()
    living.kill()
"""
    with subprocess.Popen([sys.executable, "-c", script], stdin=-1) as parent:
        processes = Processes({}, parent.pid)
        deadline = time.monotonic() + 20
        while (used := processes.used_s()["postgres"]) < 0.6:
            assert time.monotonic() < deadline, used
            time.sleep(0.02)
        assert used_s(parent.pid) < 0.3
        parent.communicate(b"\n")


def test_shares_are_of_one_processor() -> None:
    assert shares({"serve": 1.0}, {"serve": 4.0}, 2.0) == {"serve": 1.5}


def test_other_processes_may_be_looked_at_too() -> None:
    assert set(Processes({"serve": os.getpid()}, None).used_s(load=1)) == {
        "serve", "load", OTHERS,
    }  # fmt: skip


def test_what_others_take_is_seen() -> None:
    ours = Processes({"ours": os.getpid()}, None)
    before, began = ours.used_s(), time.monotonic()
    subprocess.run([sys.executable, "-c", BUSY], check=True)
    used = shares(before, ours.used_s(), time.monotonic() - began)
    assert used[OTHERS] * (time.monotonic() - began) > 0.25


@pytest.mark.parametrize(("folder", "kind"), [("/proc/self", "proc"), ("/nowhere/at/all", None)])
def test_a_folder_is_on_the_file_system_that_is_mounted_nearest(
    folder: str, kind: str | None
) -> None:
    assert file_system(Path(folder)) == (kind or file_system(Path("/")))


def test_the_same_is_done_by_one_and_by_several_at_once() -> None:
    assert len(work(1, 0.05)) == 1
    done = work(3, 0.05)
    assert len(done) == 3
    assert min(done) > 0
