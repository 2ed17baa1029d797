"""One measurement: a load from another process, and who used the processors meanwhile."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from typing import Final, NamedTuple

import msgspec

from api.cli.benching.cpu import Processes
from api.cli.benching.jobs import BEGUN, ENDED, Done, Job
from api.cli.itself import environment
from api.cli.output import CannotRun

_PROGRAM: Final = (sys.executable, "-P", "-m", "api.cli.benching.load")
LOAD: Final = "load"


class Measured(NamedTuple):
    crews: list[Done]
    cpu: dict[str, float]
    """By part: how many processors it kept busy on average while it was measured."""

    @property
    def answers(self) -> Counter[str]:
        """By status, of all crews."""
        found: Counter[str] = Counter()
        for crew in self.crews:
            found.update(crew.answers)
        return found


def measure(job: Job, processes: Processes) -> Measured:
    """Raises CannotRun where the load breaks off."""
    with subprocess.Popen(  # noqa: S603 (ourselves)
        _PROGRAM, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
    ) as load:
        assert load.stdin is not None
        assert load.stdout is not None
        load.stdin.write(msgspec.json.encode(job))
        load.stdin.close()
        begun = load.stdout.readline()
        began, before = time.perf_counter(), processes.used_s(**{LOAD: load.pid})
        ended = load.stdout.readline()
        took, after = time.perf_counter() - began, processes.used_s(**{LOAD: load.pid})
        told = load.stdout.read()
    if (begun, ended) != (BEGUN, ENDED) or load.returncode:
        raise CannotRun("the load broke off; the lines above say why")
    return Measured(
        msgspec.json.decode(told, type=list[Done]),
        {name: (after[name] - before[name]) / took for name in after},
    )
