"""Reads uploaded pictures, recordings and NDEF messages in processes of their own.

One that ends over a file is replaced: that file had nothing readable.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from infrastructure.carriers.decoder import READERS, REQUEST
from infrastructure.carriers.failures import CarrierUnavailable, TooLarge

PROCESSES: Final = 2
MAX_WAITING: Final = 16
"""Files that wait for a process, up to 4 MiB each."""

_MAX_ANSWER: Final = 1024**2
_ROOT: Final = str(Path(__file__).parents[2])
_PROGRAM: Final = (sys.executable, "-P", "-m", "infrastructure.carriers.decoder")


class Busy(Exception):
    """More files wait than should."""


class Decoders:
    """Processes start when they are first needed, and end with `stop`."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(PROCESSES)
        self._idle: list[Process] = []
        self._waiting = 0

    async def read(self, reader: Callable[[bytes], list[str]], content: bytes) -> list[str]:
        """What that reader of decoder.READERS finds. Raises TooLarge, CarrierUnavailable, Busy."""
        if self._waiting >= MAX_WAITING:
            raise Busy
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        try:
            answer = await self._answer(REQUEST.pack(READERS.index(reader), len(content)), content)
        finally:
            self._free.release()
        match json.loads(answer or b'{"texts": []}'):
            case {"texts": list(texts)}:
                return texts
            case {"too_large": str(told)}:
                raise TooLarge(told)
            case _:
                raise CarrierUnavailable

    async def stop(self) -> None:
        while self._idle:
            await _end(self._idle.pop())

    async def _answer(self, *request: bytes) -> bytes:
        """A line; nothing where the process ended."""
        process = self._one_that_lives() or await _start()
        answer = b""
        try:
            assert process.stdin
            assert process.stdout
            with suppress(ConnectionError):
                process.stdin.writelines(request)
                await process.stdin.drain()
                answer = await process.stdout.readline()
        finally:
            # Not one that died, or whose answer nobody has read since its caller was cancelled.
            if answer.endswith(b"\n"):
                self._idle.append(process)
            else:
                await _end(process)
        return answer

    def _one_that_lives(self) -> Process | None:
        while self._idle:
            process = self._idle.pop()
            if process.returncode is None:
                return process
        return None


async def _start() -> Process:
    return await asyncio.create_subprocess_exec(
        *_PROGRAM,
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        limit=_MAX_ANSWER,
        # None of our own environment, which has secrets.
        env={"PYTHONPATH": _ROOT, "PATH": os.defpath},
    )


async def _end(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()
