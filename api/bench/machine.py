"""On what it was measured."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Final

_WORK: Final = """
import sys, time
end, done = time.perf_counter() + float(sys.argv[1]), 0
while time.perf_counter() < end:
    {each: str(each) for each in range(1_000)}
    done += 1
print(done)
"""


def machine() -> dict[str, str | int]:
    return {
        "processors": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def all_at_once(seconds: float) -> float:
    """What all processors do at the same time, in times of what one of them does alone: less than
    there are where two are threads of one core, or a host has others on them."""
    return sum(work(os.cpu_count() or 1, seconds)) / sum(work(1, seconds))


def work(processes: int, seconds: float) -> list[int]:
    """How much each of them does of the same, all of them at once."""
    command = [sys.executable, "-c", _WORK, str(seconds)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603 (a program of ours)
        for _ in range(processes)
    ]
    return [int(each.communicate()[0]) for each in running]


def file_system(folder: Path) -> str:
    """What holds the folder, such as `ext4`; `unknown` where the system doesn't tell."""
    best, found = Path("/"), "unknown"
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except FileNotFoundError:
        return found
    folder = folder.resolve()
    for line in lines:
        fields = line.split()
        place = Path(fields[4])
        if folder.is_relative_to(place) and place.is_relative_to(best):
            best, found = place, fields[fields.index("-") + 1]
    return found
