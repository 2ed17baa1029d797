"""On what it was measured."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def machine() -> dict[str, str | int]:
    return {
        "processors": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


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
