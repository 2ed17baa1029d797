"""Work done many at a time, except that what shares a lane is done in the order it came."""

from collections.abc import Callable, Collection
from typing import Generic, TypeVar

Work = TypeVar("Work")


class Ticket(Generic[Work]):
    """A piece of work in its schedule; made by `Schedule.add` alone."""

    __slots__ = ("followers", "lanes", "waits_for", "work")

    def __init__(self, work: Work, lanes: Collection[str]) -> None:
        self.work = work
        self.lanes = lanes
        self.waits_for = 0
        self.followers: list[Ticket[Work]] = []


class Schedule(Generic[Work]):
    """Holds only what is under way: its size is bounded by whoever adds."""

    def __init__(self, ready: Callable[[Ticket[Work]], object]) -> None:
        """`ready` is called with each ticket once nothing stands in its way."""
        self._ready = ready
        self._last_in_lane: dict[str, Ticket[Work]] = {}

    def add(self, work: Work, *, lanes: Collection[str], after: Collection[str] = ()) -> None:
        """Adds work that is done in order within `lanes`.

        It waits as well for what is last in the lanes of `after`, but takes no place there: those
        that come later do not wait for it.
        """
        ticket = Ticket(work, lanes)
        for lane in {*lanes, *after}:
            before = self._last_in_lane.get(lane)
            if before is not None:
                before.followers.append(ticket)
                ticket.waits_for += 1
        for lane in lanes:
            self._last_in_lane[lane] = ticket
        if not ticket.waits_for:
            self._ready(ticket)

    def done(self, ticket: Ticket[Work]) -> None:
        """Lets those go on that waited for it."""
        for lane in ticket.lanes:
            if self._last_in_lane.get(lane) is ticket:
                del self._last_in_lane[lane]
        for follower in ticket.followers:
            follower.waits_for -= 1
            if not follower.waits_for:
                self._ready(follower)
