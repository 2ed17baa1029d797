"""Pages of the event history, and the live stream of it."""

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from starlette.requests import Request

from api.answers import encoded
from api.auth import still_let_in
from api.parts import parts_of
from api.paths import payment_named
from api.queries import EventsQuery
from application.answers import Recorded
from application.history import event_item
from domain.events import AccountEntry, AccountHold, LedgerEvent
from domain.ids import account_stream

if TYPE_CHECKING:
    from infrastructure.event_log import EventLog

LIVE_PAGE: Final = 500
KEEP_ALIVE_S: Final = 15.0
LOOK_AGAIN_S: Final = 1.0
"""Also without a notice the store is looked at so often."""
STREAM_PAGE: Final = 1_000
"""Events of one account, or payment, that a page looks at."""


@dataclass(frozen=True, slots=True)
class Filters:
    account: UUID | None
    """The account's stream."""
    payment: UUID | None
    type: str | None

    @classmethod
    def of(cls, query: EventsQuery, ledger: str) -> "Filters":
        account = account_stream(ledger, query.account) if query.account else None
        payment = payment_named(query.payment) if query.payment else None
        return cls(account, payment, query.type)

    def take(self, recorded: Recorded) -> bool:
        _, event = recorded
        return (
            (self.account is None or event.originator_id == self.account)
            and (self.payment is None or self.payment in (event.originator_id, _moved_by(event)))
            and (self.type is None or self.type == event.TOPIC)
        )


async def page(
    log: "EventLog", filters: Filters, after: int, after_version: int, limit: int, end: int
) -> tuple[Sequence[Recorded], tuple[int, int] | None]:
    """Events after a position up to `end`, and (position, version) to go on after, or None.

    With a type it may be short, or empty, and still go on. `after_version` is a version of the
    account's stream known to be at or before `after`.
    """
    if filters.payment:
        found = list(await log.page_of_payment(filters.payment, after, STREAM_PAGE))
        looked = _place(found[-1]) if len(found) == STREAM_PAGE else None
    elif filters.account:
        found = list(await log.page_of_stream(filters.account, after, after_version, STREAM_PAGE))
        looked = _place(found[-1]) if len(found) == STREAM_PAGE else None
    elif filters.type:
        found, up_to = await log.page_of_type(filters.type, after, limit + 1)
        looked = (up_to, 0) if up_to < end else None
    else:
        found = list(await log.page(after, limit + 1))
        looked = None
    taken = [one for one in found if one.position <= end and filters.take(one)]
    if len(taken) > limit:
        return taken[:limit], _place(taken[limit - 1])
    return taken, looked if looked and looked[0] < end else None


def _moved_by(event: LedgerEvent) -> UUID | None:
    """The payment that an account's event is of."""
    return event.payment if isinstance(event, AccountEntry | AccountHold) else None


def _place(recorded: Recorded) -> tuple[int, int]:
    return recorded.position, recorded.event.originator_version


async def live(request: Request, filters: Filters, after: int) -> AsyncIterator[bytes]:
    """Server-sent events after a position, as they come, until the process ends, the request's key
    is revoked, or the store has another event at that position than it had: it has lost its tail.

    `id:` is the position, so that a client resumes by `Last-Event-ID`. Raises StoreUnavailable:
    where nobody can say whose key it is there are no events to send either.
    """
    parts = parts_of(request)
    yield b": the history, live\n\n"
    said = time.monotonic()
    last = await parts.events.event(after) if after else None
    while not parts.stopping.is_set() and await still_let_in(request):
        found = await parts.events.page(after - 1, LIVE_PAGE + 1)
        if last:
            if not found or found[0] != last:
                return
            found = found[1:]
        told = b"".join(_message(one) for one in found if filters.take(one))
        if found:
            last = found[-1]
            after = last.position
        elif not told and time.monotonic() - said >= KEEP_ALIVE_S:
            told = b": still here\n\n"
        if told:
            said = time.monotonic()
            yield told
        if len(found) < LIVE_PAGE:
            await parts.announced.moved(LOOK_AGAIN_S)


def _message(recorded: Recorded) -> bytes:
    return b"id: %d\ndata: %b\n\n" % (recorded.position, encoded(item(recorded)))


def item(recorded: Recorded) -> dict[str, Any]:
    return event_item(recorded.position, recorded.event)
