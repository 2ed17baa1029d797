"""A step that outlives its deadline ends the process: what hangs can't be told to stop."""

from __future__ import annotations

import subprocess
import sys
import time
from threading import Event

from infrastructure.cannot_start import TRY_AGAIN
from infrastructure.kafka.watchdog import Watchdog
from tests.fixtures.fix_tally import ROOT


def test_a_step_that_takes_too_long_is_named() -> None:
    expired: list[str] = []
    told = Event()

    def expire(step: str) -> None:
        expired.append(step)
        told.set()

    watchdog = Watchdog(on_expiry=expire)
    with watchdog.within(0.05, "a transaction"):
        assert told.wait(10)
    assert expired == ["a transaction"]


def test_steps_that_end_in_time_are_left_alone_however_many() -> None:
    expired: list[str] = []
    watchdog = Watchdog(on_expiry=expired.append)
    for _ in range(3):
        with watchdog.within(0.5, "a step"):
            pass
    time.sleep(0.7)
    assert not expired


def test_it_ends_a_process_that_hangs() -> None:
    hangs = (
        "import time\n"
        "from infrastructure.kafka.watchdog import Watchdog\n"
        "with Watchdog().within(0.1, 'closing'):\n"
        "    time.sleep(60)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", hangs],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ran.returncode == TRY_AGAIN
    assert "closing took too long" in ran.stderr
