"""The socket of the API, and what its URL is."""

import socket
from typing import Annotated, Final

import typer

from api.cli.output import CannotRun

HostOption = Annotated[
    str | None, typer.Option("--host", help="Address to listen on.  [default: 127.0.0.1]")
]
PortOption = Annotated[
    int | None,
    typer.Option("--port", min=0, max=65535, help="0 takes a free one.  [default: 8000]"),
]

_BACKLOG: Final = 2048
"""Connections that wait while the API starts again."""


def listening(host: str, port: int) -> socket.socket:
    """Bound here and handed on, so that connections wait while the API starts again."""
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise CannotRun(f"{host} is no address to listen on: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotRun(
            f"port {port} of {host} can't be had ({error.strerror}): give another by --port"
        ) from error
    return listener


def url_of(listener: socket.socket) -> str:
    """Where a program on this machine reaches it."""
    host, port, *_ = listener.getsockname()
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (compared, not bound)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
