"""The processes that read files: one that dies over a file harms that file alone."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from infrastructure.carriers import decoders
from infrastructure.carriers.decoders import PROCESSES, Decoders
from infrastructure.carriers.nfc import ndef_message, read_ndef
from infrastructure.carriers.pictures import qr_png, read_qr
from tests.fixtures.fix_carriers import a_code, decoding_processes

MISCHIEF = """
import ctypes, os, time
from infrastructure.carriers import decoder

def read(content):
    match content:
        case b"crash": ctypes.string_at(0)
        case b"hang": time.sleep(60)
        case b"eat": bytearray(decoder.MAX_MEMORY)
        case b"raise": raise AssertionError
        case b"environment": return [name for name in os.environ if "TALLY" in name]
    return [content.decode()]

decoder.READERS = (read,) * 4
decoder.MAX_TIME_S = 1
decoder.main()
"""
"""The program, with a reader that has the errors that C may have."""


@asynccontextmanager
async def running() -> AsyncIterator[Decoders]:
    made = Decoders()
    try:
        yield made
    finally:
        await made.stop()


def test_processes_are_few_are_used_again_and_end_with_us() -> None:
    async def script() -> None:
        async with running() as made:
            assert decoding_processes() == set()
            reads = [made.read(read_qr, qr_png(a_code(n))) for n in range(8)]
            assert await asyncio.gather(*reads) == [[a_code(n)] for n in range(8)]
            first = decoding_processes()
            assert len(first) == PROCESSES
            assert await made.read(read_ndef, ndef_message(a_code())) == [a_code()]
            assert decoding_processes() == first
        assert decoding_processes() == set()

    asyncio.run(script())


def test_one_that_was_killed_meanwhile_is_replaced() -> None:
    async def script() -> None:
        async with running() as made:
            await made.read(read_ndef, ndef_message(a_code()))
            (process,) = decoding_processes()
            os.kill(process, signal.SIGKILL)
            await asyncio.sleep(0.5)
            assert await made.read(read_ndef, ndef_message(a_code())) == [a_code()]
            assert decoding_processes() != {process}

    asyncio.run(script())


def test_one_whose_caller_went_away_gives_its_answer_to_nobody_else() -> None:
    async def script() -> None:
        async with running() as made:
            reads = [asyncio.create_task(made.read(read_qr, qr_png(a_code(1)))) for _ in range(2)]
            await asyncio.sleep(0.05)
            for read in reads:
                read.cancel()
            assert await made.read(read_qr, qr_png(a_code(2))) == [a_code(2)]

    asyncio.run(script())


@pytest.mark.parametrize("mischief", [b"crash", b"hang", b"eat", b"raise"])
def test_a_file_that_ends_its_process_has_nothing_readable(
    monkeypatch: pytest.MonkeyPatch, mischief: bytes
) -> None:
    monkeypatch.setattr(decoders, "_PROGRAM", (sys.executable, "-P", "-c", MISCHIEF))

    async def script() -> None:
        async with running() as made:
            assert await made.read(read_qr, b"good") == ["good"]
            began = time.monotonic()
            assert await made.read(read_qr, mischief) == []
            assert time.monotonic() - began < 10
            assert await made.read(read_qr, b"good") == ["good"]

    asyncio.run(script())


def test_a_process_has_none_of_our_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLY_SECRET", "a secret of tests")
    monkeypatch.setattr(decoders, "_PROGRAM", (sys.executable, "-P", "-c", MISCHIEF))

    async def script() -> list[str]:
        async with running() as made:
            return await made.read(read_qr, b"environment")

    assert asyncio.run(script()) == []
