"""Asks whoever sits at the terminal, while the world goes on."""

import asyncio
import os
import sys
import threading


class TypedLines:
    """Lines of standard input, as they come; none any more once it has ended."""

    def __init__(self) -> None:
        self._lines: asyncio.Queue[str] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        # A daemon, and past Python's own buffer: a read that nobody ends must not keep us.
        threading.Thread(target=self._read, daemon=True).start()

    def next(self) -> str | None:
        """A line that has come; None where none has."""
        return None if self._lines.empty() else self._lines.get_nowait()

    def _read(self) -> None:
        rest = b""
        while some := os.read(sys.stdin.fileno(), 1024):
            *lines, rest = (rest + some).split(b"\n")
            for line in lines:
                text = line.decode(errors="replace").strip().lower()
                self._loop.call_soon_threadsafe(self._lines.put_nowait, text)
