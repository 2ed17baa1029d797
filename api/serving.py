"""The API as a server process: uvicorn on a socket that the caller has bound."""

import asyncio
import gc
import math
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Final

import uvicorn
from fastapi import FastAPI

from api.http_protocol import IDLE_S, HttpProtocol, Room
from api.short_way import PaymentProtocol

_TICKS_A_LOOK: Final = 10
"""uvicorn's are ten a second."""


class Server(uvicorn.Server):
    """Says when it is ready, and tells what follows live that the process is ending."""

    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], None], stopping: asyncio.Event
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._stopping = stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            keep_what_is_there()
            self._ready()

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS_A_LOOK == 0:
            now = asyncio.get_running_loop().time()
            for connection in self.server_state.connections.copy():
                assert isinstance(connection, HttpProtocol)
                connection.close_if_overdue(now)
        return await super().on_tick(counter)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not uvicorn's own, which raises the signal again when all is done: a process that was
        # asked to end and did so has ended well. A second Ctrl-C doesn't wait for clients.
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True
        self._stopping.set()


def serve(
    app: FastAPI,
    listener: socket.socket,
    *,
    stopping: asyncio.Event,
    drain_s: float,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serves until SIGTERM or SIGINT; answers what is under way first, for `drain_s` at most.

    `ready` is called once requests are answered. Raises what keeps the app from starting.
    """
    server = make_server(app, stopping=stopping, drain_s=drain_s, ready=ready)
    server.run(sockets=[listener])
    if not server.started:
        raise SystemExit(3)


def make_server(
    app: FastAPI,
    *,
    stopping: asyncio.Event,
    drain_s: float,
    ready: Callable[[], None] = lambda: None,
) -> Server:
    app.state.room = Room()
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=PaymentProtocol,
        ws="none",
        lifespan="on",
        access_log=False,  # ours is api/edge.py's
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=IDLE_S,
        timeout_graceful_shutdown=math.ceil(drain_s),
        backlog=2048,
    )
    return Server(config, ready, stopping)


def keep_what_is_there() -> None:
    """The collector leaves alone what was made at the start: the largest lever on slow answers."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
