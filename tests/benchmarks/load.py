"""A load of payments that takes little of the machine it measures: HTTP/1.1 on bare sockets.

A client library takes a fifth of a core for 500 payments a second, this a twentieth.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from typing import Final, cast
from urllib.parse import urlsplit

import uvloop

_CREATED: Final = b"HTTP/1.1 201"


class Connection(asyncio.Protocol):
    """One request at a time, kept alive."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport
        self._answer: asyncio.Future[bytes]
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    async def send(self, request: bytes) -> bytes:
        """Gives the whole answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) >= length:
            answer, self._received = self._received, b""
            self._answer.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError())

    def close(self) -> None:
        self._transport.close()


def pay_steadily(url: str, key: str, *, accounts: int, a_second: int, seconds: int) -> int:
    """Payments between `customers:N`, each at its time, whatever became of those before.

    Gives how many; raises AssertionError for an answer other than 201.
    """
    return uvloop.run(_pay(url, key, accounts, a_second, seconds * a_second))


async def _pay(url: str, key: str, accounts: int, a_second: int, count: int) -> int:
    address = urlsplit(url)
    loop = asyncio.get_running_loop()
    idle: list[Connection] = []
    head = (
        f"POST /v1/payments HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"Authorization: Bearer {key}\r\nContent-Type: application/json\r\nIdempotency-Key: "
    )
    run = secrets.token_hex(8)

    async def one(number: int) -> None:
        debit, credit = random.sample(range(accounts), 2)
        body = (
            f'{{"postings":[{{"debit":"customers:{debit}","credit":"customers:{credit}",'
            '"amount":1,"currency":"EUR"}]}'
        )
        request = f"{head}{run}-{number}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        if idle:
            connection = idle.pop()
        else:
            _, connection = await loop.create_connection(Connection, address.hostname, address.port)
        answer = await connection.send(request)
        assert answer.startswith(_CREATED), answer
        idle.append(connection)

    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            wait_s = began + number / a_second - time.monotonic()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            group.create_task(one(number))
    for connection in idle:
        connection.close()
    return count
