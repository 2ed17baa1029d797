"""Connections that give up in time on a server that does not answer.

`statement_timeout` ends a statement that takes long, and keepalives find a machine that is gone.
Neither helps where the line stands and nothing comes: a server that hangs, a proxy in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import psycopg
from psycopg import AsyncConnection, Connection
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from psycopg.rows import DictRow, TupleRow
from psycopg_pool import AsyncConnectionPool

from application.ports import StoreUnavailable

KEEPALIVES: Final[Mapping[str, Any]] = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
"""A server whose machine is gone is noticed after some ten seconds."""

READS: Final = (
    "-c TimeZone=UTC"
    # Every read has its index: a plan that scans can only be a wrong guess on a table that has
    # just been filled.
    " -c enable_seqscan=off -c enable_bitmapscan=off"
    # And the same plan for any values: one made anew for each read was a third of a read's time.
    " -c plan_cache_mode=force_generic_plan"
)
"""How the server treats a connection for reads."""

GRACE_S: Final = 1.0
"""Beyond the server's own `statement_timeout`, whose answer is the better one."""

_LOOK_S: Final = 0.1

Result = TypeVar("Result")


class PatientConnection(Connection[DictRow]):
    """Closed, with an OperationalError, where an answer takes longer than `patience_s`, or where
    something is to be written and another server has become the primary: the next connection may
    be one to that."""

    patience_s: float | None = None

    def wait(
        self, gen: PQGen[Result], interval: float = _LOOK_S, timeout: float | None = None
    ) -> Result:
        try:
            return super().wait(gen, interval, self.patience_s if timeout is None else timeout)
        except psycopg.OperationalError:
            # The answer may still come: nobody must take it for that of the next statement.
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.close()
            raise
        except psycopg.errors.ReadOnlySqlTransaction as error:
            self.close()
            raise psycopg.OperationalError(str(error)) from error


class AsyncPatientConnection(AsyncConnection[TupleRow]):
    """Closed, with an OperationalError, where an answer takes longer than `patience_s`."""

    patience_s: float | None = None

    async def wait(
        self,
        gen: PQGen[Result],
        interval: float = _LOOK_S,
        timeout: float | None = None,  # noqa: ASYNC109 (the library's own)
    ) -> Result:
        try:
            return await super().wait(
                gen, interval, self.patience_s if timeout is None else timeout
            )
        except psycopg.OperationalError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                await self.close()
            raise


class ReadPool(AsyncConnectionPool[AsyncConnection[TupleRow]]):
    """Connections for reads. Raises StoreUnavailable where there is none, or it breaks; where one
    does, the others are looked at too, before somebody reads with them."""

    _checking: asyncio.Task[None] | None = None

    def __init__(
        self, dsn: str, *, size: int, max_waiting: int, timeout_s: float, statement_s: float
    ) -> None:
        """Waits `timeout_s` for a connection, `statement_s` for what a statement answers."""

        async def configure(connection: AsyncConnection[TupleRow]) -> None:
            assert isinstance(connection, AsyncPatientConnection)
            connection.patience_s = statement_s + GRACE_S

        super().__init__(
            dsn,
            connection_class=AsyncPatientConnection,
            configure=configure,
            kwargs={
                "autocommit": True,
                "application_name": "tally api",
                "connect_timeout": max(2, int(timeout_s)),
                **KEEPALIVES,
                "options": (
                    f"{READS} -c statement_timeout={int(statement_s * 1000)} -c lock_timeout=2000"
                    " -c idle_in_transaction_session_timeout=30000"
                ),
            },
            min_size=min(2, size),
            max_size=size,
            max_waiting=max_waiting,
            timeout=timeout_s,
            # Its pauses between attempts double: after a long outage it would be the last to know.
            reconnect_timeout=timeout_s,
            open=False,
        )

    @asynccontextmanager
    async def connection(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 (the library's own)
    ) -> AsyncIterator[Any]:
        try:
            async with super().connection(timeout) as connection:
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            # It also tries a new connection. The library itself wouldn't, where those who have
            # given up fill its queue, in which they stay until there is a connection again.
            if self._checking is None or self._checking.done():
                self._checking = asyncio.create_task(self.check(), name="read pool check")
                await asyncio.sleep(0)  # it has taken them out before the next read begins
            raise StoreUnavailable from error
