"""How much of the machine's memory the embedded PostgreSQL may fill with pages."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

SHARE: Final = 16
LEAST_MB: Final = 128
MOST_MB: Final = 1024
_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")
"""Of the container that we are in, in bytes; `max` is none (Linux, cgroup v2)."""


def shared_buffers_mb(machine_mb: int) -> int:
    """A sixteenth of what there is. With ten million events, whose indexes are larger than 128 MB,
    a gigabyte makes 1.2 times the payments; of a small ledger little of it is ever touched."""
    return min(max(machine_mb // SHARE, LEAST_MB), MOST_MB)


def machine_mb(limit: Path = _LIMIT) -> int:
    """What the machine has, or as much of it as our container may use."""
    has = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    told = limit.read_text().strip() if limit.exists() else "max"
    return (min(has, int(told)) if told.isdecimal() else has) >> 20
