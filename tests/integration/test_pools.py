"""Pools of connections when the server is away for longer than who asks waits for it."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from time import sleep

import pytest
from eventsourcing.persistence import OperationalError

from application.ports import StoreUnavailable
from infrastructure.connections import ReadPool
from infrastructure.store import Datastore
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_proxy import Proxy

TIMEOUT_S = 0.1
LONG_S = 0.5
"""What was tried in vain is given up by then."""


async def read(pool: ReadPool, how_long_s: str = "0") -> bool:
    """Whether there was a connection to read with."""
    try:
        async with pool.connection() as connection:
            await connection.execute("SELECT pg_sleep(%s::float)", (how_long_s,))
    except StoreUnavailable:
        return False
    return True


def test_the_writers_pool_finds_a_server_again_however_often_it_was_asked_in_vain(
    fresh_store: Store, new_proxy: Callable[[str], Proxy]
) -> None:
    proxy = new_proxy(fresh_store.app_dsn)
    with closing(Datastore(proxy.dsn, pool_size=3, timeout_s=TIMEOUT_S)) as datastore:

        def asked() -> bool:
            try:
                with datastore.get_connection() as connection:
                    return connection.execute("SELECT true AS found").fetchone() is not None
            except OperationalError:
                return False

        assert asked()
        proxy.down = True
        proxy.cut_all()
        assert not any(asked() for _ in range(10))
        sleep(LONG_S)
        proxy.down = False
        assert any(asked() for _ in range(50))


def test_connections_for_reads_that_broke_together_cost_one_read(
    fresh_store: Store, new_proxy: Callable[[str], Proxy]
) -> None:
    proxy = new_proxy(fresh_store.app_dsn)

    async def run() -> None:
        async with ReadPool(proxy.dsn, size=6, max_waiting=10, timeout_s=5, statement_s=5) as pool:
            assert all(await asyncio.gather(*(read(pool, "0.2") for _ in range(6))))
            assert pool.get_stats()["pool_available"] == 6
            proxy.cut_all()
            await asyncio.sleep(0.1)
            assert [await read(pool) for _ in range(12)] == [False] + [True] * 11

    asyncio.run(run())


def test_the_pool_for_reads_finds_a_server_again_however_many_waited_in_vain(
    fresh_store: Store, new_proxy: Callable[[str], Proxy]
) -> None:
    proxy = new_proxy(fresh_store.app_dsn)

    async def run() -> None:
        async with ReadPool(
            proxy.dsn, size=2, max_waiting=5, timeout_s=TIMEOUT_S, statement_s=1
        ) as pool:
            assert await read(pool)
            proxy.down = True
            proxy.cut_all()
            assert not any(await asyncio.gather(*(read(pool) for _ in range(20))))
            await asyncio.sleep(LONG_S)
            proxy.down = False
            for _ in range(50):
                if await read(pool):
                    return
                await asyncio.sleep(TIMEOUT_S)
            pytest.fail("the pool did not find the server again")

    asyncio.run(run())
