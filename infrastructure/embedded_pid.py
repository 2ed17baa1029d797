"""The pid file of the embedded PostgreSQL: which server runs on these data, and whose it is."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from infrastructure.embedded_place import run

_NO_PROCESS: Final = 2**31 - 1
"""A process number above what any system gives."""


class Running(NamedTuple):
    """A server as its pid file tells."""

    pid: int
    socket_folder: Path
    ready: bool


def running(data: Path) -> Running | None:
    """The server of these data; None where it is gone, or the number is another's by now."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        pid = int(lines[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None
    words = command(pid)
    if str(data.resolve()) not in words or Path(words[0]).name != "postgres":
        return None
    ready = len(lines) > 7 and lines[7].strip() == "ready"
    return Running(pid, Path(lines[4]) if len(lines) > 4 else Path(), ready)


def disown(data: Path) -> None:
    """Where a dead server's number is another process's by now, PostgreSQL would not start.

    The file stays: by what it says of shared memory the server knows of orphans that still write
    to these data.
    """
    with suppress(FileNotFoundError):
        file = data / "postmaster.pid"
        _, *rest = file.read_text().splitlines(keepends=True) or [""]
        file.write_text("".join([f"{_NO_PROCESS}\n", *rest]))


def command(pid: int) -> list[str]:
    """The words of the command that a process runs; none where it is gone, or a zombie."""
    with suppress(FileNotFoundError, ProcessLookupError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0")
        return os.fsdecode(words).split("\0") if words else []
    if Path("/proc/self").exists():
        return []
    shown = run(["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)], user=None, timeout_s=10)
    return shown.stdout.split()
