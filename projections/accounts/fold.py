"""From events to accounts: pure functions over records."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from domain.code_events import CodeEvent
from domain.events import (
    AccountChanged,
    AccountClosed,
    AccountEntry,
    AccountFrozen,
    AccountHold,
    AccountOpened,
    AccountUnfrozen,
    CommandDecided,
    LedgerEvent,
    Metadata,
    PaymentDecided,
)
from domain.payment import PaymentStep
from domain.request_events import PaymentRequestEvent
from projections.feed import Record

LEFT_OUT = PaymentDecided | PaymentStep | PaymentRequestEvent | CodeEvent
"""Types of events that it makes nothing of; one that it doesn't know is an error."""


class Opened(NamedTuple):
    account: str
    currency: str
    normal_side: str
    opened_at: datetime
    position: int
    overdraft_limit: int | None
    max_balance: int | None
    metadata: Metadata


class Moved(NamedTuple):
    """The account's version, and where in the ledger it was last decided on.

    A command's record counts too: it is the position that the command was answered with.
    """

    version: int
    position: int


STATUS: Final[dict[type[LedgerEvent], str]] = {
    AccountFrozen: "frozen",
    AccountUnfrozen: "open",
    AccountClosed: "closed",
}


@dataclass(slots=True)
class Folded:
    """What a batch changes."""

    opened: list[Opened] = field(default_factory=list)
    changed: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """New values by column of an account, in order: the rare events."""
    moved: dict[str, Moved] = field(default_factory=dict)


def fold(records: Iterable[Record]) -> Folded:
    """What the records, in order, make of the accounts. Raises TypeError for an event that this
    version doesn't know."""
    folded = Folded()
    for position, _, _, event in records:
        match event:
            case AccountEntry() | AccountHold():
                pass
            case CommandDecided(account=str(account), account_after=dict(after)):
                folded.moved[account] = Moved(after["version"], position)
                continue
            case CommandDecided():
                continue
            case AccountOpened():
                folded.opened.append(
                    Opened(
                        event.account,
                        event.currency,
                        event.normal_side,
                        event.timestamp,
                        position,
                        event.overdraft_limit,
                        event.max_balance,
                        event.metadata,
                    )
                )
            case AccountChanged():
                folded.changed.append((event.account, event.changed))
            case AccountFrozen() | AccountUnfrozen() | AccountClosed():
                folded.changed.append((event.account, {"status": STATUS[type(event)]}))
            case _ if isinstance(event, LEFT_OUT):
                continue
            case _:
                raise TypeError(f"{event.TOPIC} is unknown to accounts")
        folded.moved[event.account] = Moved(event.originator_version, position)
    return folded
