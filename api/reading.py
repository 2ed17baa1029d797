"""Reads of the read models: never silently stale. They wait for a position, or say 503."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from uuid import UUID

from starlette.requests import Request

from api.problems import Problem, invalid, parameter_error
from api.queries import AsOf, Read
from application.ports import Clock
from projections.reading import Reader, ReadModelMissing, View
from projections.registry import PROJECTIONS

if TYPE_CHECKING:
    from infrastructure.event_log import EventLog

DEFAULT_WAIT_S: Final = 1.0
MAX_WAIT_S: Final = 30.0
START_OF_TIME: Final = datetime.min.replace(tzinfo=UTC)
_LOOK_AGAIN_S: Final = 0.02

_WAIT: Final = re.compile(r'\s*wait\s*=\s*("?)([0-9]+)\1\s*(;.*)?', re.ASCII | re.IGNORECASE)

Found = TypeVar("Found")


class Moment(NamedTuple):
    """What a read is as of."""

    position: int
    time: datetime
    """Holds whose deadline has come by then count no more."""


class Deadline:
    """How long a request waits in all: for every position it needs together."""

    def __init__(self, wait_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._at = self._loop.time() + wait_s

    @property
    def left_s(self) -> float:
        return max(0.0, self._at - self._loop.time())


def preferred_wait_s(prefer: list[str]) -> float:
    """Seconds of `Prefer: wait=S` (RFC 7240): the first one counts, a malformed one doesn't."""
    for preference in ",".join(prefer).split(","):
        if wait := _WAIT.fullmatch(preference):
            return min(float(wait[2]), MAX_WAIT_S)
    return DEFAULT_WAIT_S


class ReadModels:
    def __init__(
        self,
        reader: Reader,
        events: "EventLog",
        *,
        clock: Clock,
        pool_stats: Callable[[], Mapping[str, int]],
    ) -> None:
        self.reader = reader
        self._events = events
        self._clock = clock
        self.pool_stats = pool_stats

    @asynccontextmanager
    async def at(
        self, projection: str, position: int | None, deadline: Deadline
    ) -> AsyncIterator[View]:
        """A view of the read model at the position or later.

        Raises Problem: position_unknown, not_caught_up.
        """
        if position:
            await self._reach(projection, position, deadline)
        async with AsyncExitStack() as stack:
            yield await self._open(stack, projection, position or 0, deadline)

    async def find(
        self,
        projection: str,
        stream: UUID,
        position: int | None,
        deadline: Deadline,
        get: Callable[[View], Awaitable[Found | None]],
    ) -> tuple[int, Found]:
        """The view's position and what `get` finds in it.

        Waits for what the store has and the read model lacks.

        `stream` is that of the thing asked for. Raises Problem: not_found, and as `at` does.
        """
        async with self.at(projection, position, deadline) as view:
            found = await get(view)
        if found is None:
            begun = await self._events.last_position_of_first(stream)
            if begun is None:
                raise Problem("not_found")
            async with self.at(projection, max(begun, position or 0), deadline) as view:
                found = await get(view)
        if found is None:
            raise Problem("not_found")
        return view.position, found

    def now(self, view: View) -> datetime:
        """The time of a live read: by the clock, and never before what the view has seen."""
        return max(self._clock(), view.recorded_at or START_OF_TIME)

    async def as_of(self, query: AsOf) -> Moment | None:
        """The moment a read is asked for; None for now.

        Raises Problem: invalid_request for both at once and for a time to come,
        position_unknown.
        """
        if query.as_of is None:
            return await self._moment_of(query.as_of_position)
        if query.as_of_position is not None:
            told = "Send as_of_position or as_of, not both."
            raise invalid([parameter_error("as_of", "not_allowed", told)])
        if query.as_of > self._clock():
            told = "The time is still to come."
            raise invalid([parameter_error("as_of", "too_large", told)])
        return Moment(await self._events.position_at(query.as_of), query.as_of)

    async def _moment_of(self, position: int | None) -> Moment | None:
        if not position:
            return None if position is None else Moment(0, START_OF_TIME)
        recorded_at = await self._events.recorded_at(position)
        if recorded_at is None:
            raise Problem("position_unknown")
        return Moment(position, recorded_at)

    async def sums_at(
        self, then: Moment | None, min_position: int | None, deadline: Deadline
    ) -> int:
        """The position at which balances are summed: where a command ends, so that they balance.

        As of a position, where the last command up to it ends. Live, likewise: partitions of a
        feed run apart, so that the watermark may stand within a payment. Raises Problem as `at`
        does.
        """
        at = then.position if then else None
        if at is None:
            wanted = await self._events.whole_from(min_position) if min_position else 0
            at = await self._reach("balances", wanted, deadline)
        return await self._events.whole_until(at) if at else at

    async def status(self) -> dict[str, Any]:
        """As GET /v1/status has it: a read model that isn't there yet stands at 0."""
        standings = await self.reader.standings(list(PROJECTIONS))
        end = await self._events.end()
        projections = {
            name: await self._lag(standings[name].position if name in standings else 0, end)
            for name in PROJECTIONS
        }
        mirrored = await self._events.mirrored()
        mirror = None if mirrored is None else await self._lag(mirrored, end)
        return {"end": end, "projections": projections, "mirror": mirror}

    async def _lag(self, position: int, end: int) -> dict[str, Any]:
        """How far something at that position is behind, in positions and in seconds."""
        position = min(position, end)
        lacks_since = await self._events.recorded_at(position + 1) if position < end else None
        lag_s = (self._clock() - lacks_since).total_seconds() if lacks_since else 0.0
        return {
            "position": position,
            "lag": end - position,
            "lag_s": round(max(0.0, lag_s), 6),
        }

    async def halted(self) -> dict[str, bool]:
        """Whether an event stopped each projection."""
        standings = await self.reader.standings(list(PROJECTIONS))
        return {name: standing.halted_position is not None for name, standing in standings.items()}

    async def _reach(self, projection: str, position: int, deadline: Deadline) -> int:
        """The read model's position, once it is at or past the one wanted."""
        reached = await self.reader.wait_for(projection, position, 0)
        if reached >= position:
            return reached
        if position > await self._events.end():
            raise Problem("position_unknown")
        reached = await self.reader.wait_for(projection, position, deadline.left_s)
        if reached < position:
            raise _not_caught_up(reached, position)
        return reached

    async def _open(
        self, stack: AsyncExitStack, projection: str, position: int, deadline: Deadline
    ) -> View:
        """Waits where no worker has made the read model yet."""
        while True:
            try:
                return await stack.enter_async_context(self.reader.at(projection))
            except ReadModelMissing:
                if not deadline.left_s:
                    raise _not_caught_up(0, position) from None
            await asyncio.sleep(_LOOK_AGAIN_S)


def _not_caught_up(reached: int, position: int) -> Problem:
    return Problem("not_caught_up", position=reached, min_position=position)


def needed(query: Read, *positions: int | None) -> int | None:
    """The position that a read needs: the latest of those it names."""
    named = [each for each in (query.min_position, *positions) if each is not None]
    return max(named) if named else None


def deadline_of(request: Request) -> Deadline:
    return Deadline(preferred_wait_s(request.headers.getlist("prefer")))
