"""The feed of events that the read models are folded from: a port with two adapters.

The event store itself is the default (infrastructure/store_feed.py, one partition); Kafka is the
other. A contract suite (tests/contracts) holds every adapter to what stands here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from domain.events import AccountEntry, CommandDecided, LedgerEvent, PaymentDecided


class Record(NamedTuple):
    """An event and its place; its id and recorded time are the event's own."""

    position: int
    prevposition: int
    """Position of the record before it in its partition; 0 for the first."""
    partition: int
    event: LedgerEvent

    @property
    def key(self) -> str:
        """Id of what the event is of: an account's, or a payment's."""
        return key_of(self.event)

    @property
    def event_id(self) -> str:
        """`stream:version`: the same for ever, wherever the record came from."""
        return f"{self.event.originator_id}:{self.event.originator_version}"


class UnreadableRecord(Exception):
    """The record after the last one read can't be made into an event; it is never skipped."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"position {position}: {reason}")
        self.position = position
        self.reason = reason


class EventFeed(Protocol):
    """Every event in order within its partition; delivering twice is allowed, missing is not."""

    name: str
    """`store` or `kafka`: kept with the checkpoints, which mean something to that feed alone."""
    partitions: int

    def read(self, after: Mapping[int, int], limit: int) -> Sequence[Record]:
        """Up to `limit` records after the given position of each partition; empty at the end.

        A batch ends where a command's events end, where the feed can tell (a command longer
        than `limit` comes whole). Raises UnreadableRecord where the next one can't be decoded.
        """

    def end(self) -> int:
        """Position of the last event there is; 0 where there is none."""

    def wait(self, timeout_s: float) -> None:
        """Returns when there may be more to read, at the latest after that time."""

    def close(self) -> None: ...


def key_of(event: LedgerEvent) -> str:
    """The record's key: the account's id, or that of the payment on whose stream it stands."""
    match event:
        case PaymentDecided():
            return str(event.originator_id)
        case AccountEntry() | CommandDecided():
            return event.account
        case _:
            account: str = event.account  # type: ignore[attr-defined]  # all others are accounts'
            return account


def whole_commands(records: Sequence[Record]) -> Sequence[Record]:
    """The records up to where the last but one command ends: the last may go on after them."""
    last = records[-1].event.command
    end = len(records)
    while end and records[end - 1].event.command == last:
        end -= 1
    return records[:end]
