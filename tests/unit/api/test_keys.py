"""A key that is in use is asked for beside the requests, and never trusted for longer."""

import asyncio
from types import SimpleNamespace

import pytest
from starlette.requests import Request

from api.auth import ASKED_AFTER_S, KNOWN_FOR_S, Allowed, Caller, KeyRing, still_let_in
from api.rates import Rates

SHOP = Caller("shop", "client", "key-1")


class Store:
    def __init__(self) -> None:
        self.now = 0.0
        self.asked = 0
        self.caller: Caller | None = SHOP
        self.away = False

    async def lookup(self, token: str) -> Caller | None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise ConnectionError
        return self.caller


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_key_in_use_is_asked_for_once_in_good_time() -> None:
    async def use() -> None:
        store = Store()
        ring = KeyRing(store.lookup, monotonic=lambda: store.now)
        assert ring.known("t") is None
        assert await asyncio.gather(ring.caller("t"), ring.caller("t")) == [SHOP, SHOP]
        assert store.asked == 1
        store.now = ASKED_AFTER_S
        assert [ring.known("t") for _ in range(3)] == [SHOP] * 3
        await settled()
        assert store.asked == 2
        store.now += KNOWN_FOR_S - 0.001  # known anew since then
        assert ring.known("t") == SHOP

    asyncio.run(use())


def test_a_revoked_key_ends_in_time_also_where_the_store_is_away() -> None:
    async def use() -> None:
        store = Store()
        ring = KeyRing(store.lookup, monotonic=lambda: store.now)
        await ring.caller("t")
        store.now, store.away = ASKED_AFTER_S, True
        assert ring.known("t") == SHOP
        await settled()  # the question fails, and nobody hears of it
        store.now = KNOWN_FOR_S
        assert ring.known("t") is None
        store.away, store.caller = False, None
        assert await ring.caller("t") is None
        assert ring.known("t") is None

    asyncio.run(use())


@pytest.mark.parametrize(
    ("becomes", "let_in"),
    [(SHOP, True), (None, False), (Caller("shop", "reporter", "key-1"), False)],
)
def test_a_request_under_way_is_let_in_while_its_key_is_as_it_was(
    becomes: Caller | None, let_in: bool
) -> None:
    async def use() -> None:
        store = Store()
        ring = KeyRing(store.lookup, monotonic=lambda: store.now)
        parts = SimpleNamespace(keys=ring, rates=Rates(None))
        app = SimpleNamespace(state=SimpleNamespace(parts=parts))
        headers = [(b"authorization", b"Bearer t")]
        request = Request({"type": "http", "app": app, "headers": headers})
        await Allowed(frozenset({"client", "reporter"}))(request)
        store.caller = becomes
        assert await still_let_in(request)
        store.now = KNOWN_FOR_S
        assert await still_let_in(request) == let_in

    asyncio.run(use())
