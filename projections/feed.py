"""The feed of events that the read models are folded from: a port with two adapters.

The event store itself is the default (infrastructure/store_feed.py, one partition); Kafka is the
other. A contract suite (tests/contracts) holds every adapter to what stands here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import UnionType
from typing import Final, NamedTuple, Protocol

from domain.events import AccountEntry, AccountHold, CommandDecided, LedgerEvent


class Mark(NamedTuple):
    """A place in the ledger's order, and which event stands there: everything up to it."""

    position: int
    event_id: str | None = None
    """`stream:version` of the event; None at position 0, as the time."""
    recorded_at: datetime | None = None


START: Final = Mark(0)


class Progress(NamedTuple):
    """How far the whole feed is: every event up to the mark is there to be read."""

    mark: Mark
    last: Mapping[int, int]
    """By partition: the position of its last record at or before the mark; 0 where it has none."""


class Record(NamedTuple):
    """An event and its place; its id and recorded time are the event's own."""

    position: int
    prevposition: int
    """Position of the record before it in its partition; 0 for the first."""
    partition: int
    event: LedgerEvent

    @property
    def key(self) -> str:
        """Id of what the event is of, see `key_of`."""
        return key_of(self.event)

    @property
    def event_id(self) -> str:
        """`stream:version`: the same for ever, wherever the record came from."""
        return f"{self.event.originator_id}:{self.event.originator_version}"

    @property
    def mark(self) -> Mark:
        return Mark(self.position, self.event_id, self.event.timestamp)


class UnreadableRecord(Exception):
    """What comes after the last one read is missing, or can't be made into an event; it is never
    skipped."""

    def __init__(self, position: int, reason: str, partition: int = 0) -> None:
        super().__init__(f"position {position}: {reason}")
        self.position = position
        self.reason = reason
        self.partition = partition


class FeedAway(Exception):
    """The feed can't be read for now, or isn't as far as it is asked for: try again later."""


class EventFeed(Protocol):
    """Every event in order within its partition; delivering twice is allowed, missing is not."""

    name: str
    """`store` or `kafka`: kept with the checkpoints, which mean something to that feed alone."""
    partitions: int
    progress: Progress | None
    """How far the whole is, as far as it has been read; the store's feed tells how far it has
    looked."""
    paced: bool
    """Whether what it brings comes in batches already, at a pace of its own."""

    def leave_out(self, events: UnionType) -> None:
        """To be called before the first read: the reader has no use for these types of events.

        A feed need not bring their records any more: it tells by `progress` that it has gone past
        them, and the record after them names the one before them.
        """

    def read(self, after: Mapping[int, Mark], limit: int) -> Sequence[Record]:
        """Up to `limit` records after the marks, of the partitions named, by position.

        Empty where nothing is at hand: `end` says whether more is to come. A batch ends where a
        command's events end, where the feed can tell (a command longer than `limit` comes whole).
        Raises UnreadableRecord where the next one can't be decoded, FeedAway.
        """

    def end(self) -> Progress:
        """How far the feed is by now. Raises FeedAway."""

    def find(self, mark: Mark) -> Mark | None:
        """What the feed has at the mark's position; None where it has nothing there.

        Raises FeedAway where it is a mirror that isn't as far yet.
        """

    def wait(self, timeout_s: float) -> None:
        """Returns when there may be more to read, at the latest after that time."""

    def close(self) -> None: ...


def key_of(event: LedgerEvent) -> str:
    """The record's key: the id of what its stream is of, an account, a payment, a payment request
    …; for a command's own stream, of the account or payment that the command is about."""
    match event:
        case AccountEntry() | AccountHold():
            return event.account
        case CommandDecided(payment=None):
            return str(event.account)
        case CommandDecided():
            return str(event.payment)
        case _:
            return getattr(event, "account", None) or str(event.originator_id)
