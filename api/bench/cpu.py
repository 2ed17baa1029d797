"""How much of the processors and of the memory each part takes, from /proc; nothing where there is
none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_UTIME, _STIME, _CUTIME, _CSTIME = range(11, 15)
"""After the name in parentheses, as proc(5) has them; the last two are of children that ended."""
_PARENT: Final = 1


_IDLE: Final = slice(3, 5)
"""Of the times of all processors: idle, and waiting for a disk."""
_TIMES: Final = 8
"""Up to what the host gave to others; then come times that are in those before."""
OTHERS: Final = "others"
"""Who is none of ours, the host of a virtual machine too: with many of them nothing is measured."""


class Processes:
    """The processes of a product by part, and its PostgreSQL, which has many."""

    def __init__(self, parts: Mapping[str, int], postgres: int | None) -> None:
        self._parts = parts
        self._postgres = postgres

    def used_s(self, **others: int) -> dict[str, float]:
        """Seconds of processor that each part and each other process has had so far, and `OTHERS`:
        only a difference of that says something."""
        if not _PROC.is_dir():
            return {}
        used = {name: used_s(pid) for name, pid in {**self._parts, **others}.items()}
        if self._postgres is not None:
            used["postgres"] = _with_children_s(self._postgres)
        used[OTHERS] = _machine_s() - sum(used.values())
        return used

    def memory_mb(self) -> dict[str, float]:
        """What each part has in memory now; not PostgreSQL, which shares most of its own."""
        found = {}
        for name, pid in self._parts.items():
            status = _PROC / str(pid) / "status"
            kb = status.read_text().partition("VmRSS:")[2].split() if status.exists() else []
            if kb:
                found[name] = int(kb[0]) / 1024
        return found


def shares(
    before: Mapping[str, float], after: Mapping[str, float], took_s: float
) -> dict[str, float]:
    """How many processors each part kept busy, on average, between two looks."""
    return {name: (used - before[name]) / took_s for name, used in after.items()}


def used_s(pid: int) -> float:
    """Of one process so far, its threads included; 0 once it is gone."""
    fields = _stat(pid)
    return (int(fields[_UTIME]) + int(fields[_STIME])) / os.sysconf("SC_CLK_TCK") if fields else 0


def _machine_s() -> float:
    """What all processors have done so far."""
    times = [int(each) for each in (_PROC / "stat").read_text().split()[1 : 1 + _TIMES]]
    return (sum(times) - sum(times[_IDLE])) / os.sysconf("SC_CLK_TCK")


def _with_children_s(pid: int) -> float:
    """Children that have ended count too: their parent has waited for them."""
    fields = _stat(pid)
    ended = sum(map(int, fields[_CUTIME : _CSTIME + 1])) / os.sysconf("SC_CLK_TCK")
    return ended + used_s(pid) + sum(map(used_s, _children(pid)))


def _children(pid: int) -> list[int]:
    pids = [int(each.name) for each in _PROC.glob("[0-9]*")]
    return [each for each in pids if (fields := _stat(each)) and int(fields[_PARENT]) == pid]


def _stat(pid: int) -> list[str]:
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
