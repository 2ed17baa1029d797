"""Who follows the store is woken when its end moves: one connection listens for all of them."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Final

import psycopg

from infrastructure.connections import KEEPALIVES

CHANNEL: Final = "tally_events"
"""Notified by `tally.append`."""
RECONNECT_S: Final = 1.0

_log = logging.getLogger(__name__)


class AnnouncedEnd:
    """A courtesy: whoever waits also looks by itself now and then, so a lost notice costs time."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._listen(), name="announced end")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def moved(self, timeout_s: float) -> bool:
        """Whether the end has moved within that time, from now on."""
        try:
            await asyncio.wait_for(self._moved.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def _tell(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def _listen(self) -> None:
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._dsn,
                    autocommit=True,
                    application_name="tally listener",
                    connect_timeout=10,
                    # It only listens: nothing else would tell it that nobody is there any more.
                    **KEEPALIVES,
                ) as conn:
                    await conn.execute(f"LISTEN {CHANNEL}".encode())
                    self._tell()  # what came before we listened
                    async for _ in conn.notifies():
                        self._tell()
            except psycopg.Error as error:
                # Whatever it is: on a standby there is no listening until it takes over.
                _log.warning("listening for events failed: %s", type(error).__name__)
                await asyncio.sleep(RECONNECT_S)
