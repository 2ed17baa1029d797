"""Who asks, and what their role may do. Only keyed hashes of keys are stored."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, cast

from starlette.requests import Request

from api.problems import Problem
from infrastructure.keys import Role

COMMANDS: Final[frozenset[Role]] = frozenset({"client", "admin"})
"""Open accounts."""
PAYS: Final[frozenset[Role]] = frozenset({"client"})
ADMINISTERS: Final[frozenset[Role]] = frozenset({"admin"})
READS: Final[frozenset[Role]] = frozenset({"client", "auditor", "reporter", "admin"})
AUDITS: Final[frozenset[Role]] = frozenset({"auditor"})

KNOWN_FOR_S: Final = 1.0
"""How long a key is trusted without asking the store: a revoked one ends within it."""
ASKED_AFTER_S: Final = 0.5
"""From then on the store is asked beside the requests, so that a busy client never waits for it."""
MAX_KNOWN: Final = 10_000
MAX_TOKEN_LENGTH: Final = 256


@dataclass(frozen=True, slots=True)
class Caller:
    """The named holder of an API key."""

    name: str
    role: Role
    key_id: str


Lookup = Callable[[str], Awaitable[Caller | None]]
"""Whose key this is; None where it is unknown or revoked. Asks the store."""


class KeyRing:
    """Keys seen a moment ago are known without a question to the store."""

    def __init__(self, lookup: Lookup, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._lookup = lookup
        self._monotonic = monotonic
        self._known: OrderedDict[str, tuple[Caller, float]] = OrderedDict()
        self._asked: dict[str, asyncio.Task[Caller | None]] = {}

    def known(self, token: str) -> Caller | None:
        """Whose key this is, where that needs no question to the store."""
        caller, since = self._known.get(token, (None, 0.0))
        age_s = self._monotonic() - since
        if caller is None or age_s >= KNOWN_FOR_S:
            return None
        if age_s >= ASKED_AFTER_S:
            self._ask_once(token)
        return caller

    async def caller(self, token: str) -> Caller | None:
        return self.known(token) or await asyncio.shield(self._ask_once(token))

    def _ask_once(self, token: str) -> asyncio.Task[Caller | None]:
        """One question for all who wait: a busy client would ask a hundred times a second."""
        asked = self._asked.get(token)
        if asked is None:
            asked = self._asked[token] = asyncio.create_task(self._ask(token))
            asked.add_done_callback(partial(self._answered, token))
        return asked

    def _answered(self, token: str, asked: asyncio.Task[Caller | None]) -> None:
        del self._asked[token]
        if not asked.cancelled():
            asked.exception()  # whoever waits has it; where nobody does, the next one asks

    async def _ask(self, token: str) -> Caller | None:
        now = self._monotonic()
        caller = await self._lookup(token)
        if caller is None:
            self._known.pop(token, None)
            return None
        self._known[token] = caller, now
        self._known.move_to_end(token)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return caller


class Allowed:
    """A dependency: the request's key must be of one of these roles."""

    def __init__(self, roles: frozenset[Role]) -> None:
        self.roles = roles

    async def __call__(self, request: Request) -> None:
        """Raises Problem: unauthenticated, forbidden, rate_limited."""
        caller = await _sender(request)
        if caller is None:
            raise unauthenticated()
        request.state.caller = caller
        if caller.role not in self.roles:
            raise Problem("forbidden")
        if not request.app.state.parts.rates.take(caller.name):
            raise Problem("rate_limited")


def caller_of(request: Request) -> Caller:
    """Who asks; of a request that an Allowed has let through."""
    return cast(Caller, request.state.caller)


async def still_let_in(request: Request) -> bool:
    """Whether the key that an Allowed has let through is as it was: not revoked, of that role.

    For what is under way as long as its client likes. Raises StoreUnavailable.
    """
    return await _sender(request) == caller_of(request)


async def _sender(request: Request) -> Caller | None:
    ring: KeyRing = request.app.state.parts.keys
    token = sent_token(request)
    return await ring.caller(token) if token else None


def bearer(authorization: str) -> str | None:
    """The token of an Authorization header; None where it has none, or one that can't be ours."""
    scheme, _, token = authorization.strip().partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and 0 < len(token) <= MAX_TOKEN_LENGTH else None


def sent_token(request: Request) -> str | None:
    """The token of a request's one Authorization header; None where there is no such."""
    sent = request.headers.getlist("authorization")
    return bearer(sent[0]) if len(sent) == 1 else None


def unauthenticated() -> Problem:
    return Problem("unauthenticated", headers={"WWW-Authenticate": 'Bearer realm="tallystick"'})
