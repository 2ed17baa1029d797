"""Codes that were never issued: so many a minute from a caller, and for a credited account.

What is decided leaves its refusal in the ledger, for the auditor. A dry run leaves nothing there,
and several processes guess at once: so each attempt is also counted in a table, before it is
answered, by whichever process decides it (LedgerStore.count_attempt). Past the limits no code is
looked at any more, a live one neither: who guesses right then isn't told.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from math import ceil
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from application.commands import Command, MakePayment
from domain.refusals import TooManyAttempts

WINDOW: Final = timedelta(minutes=1)


class AttemptLimits(NamedTuple):
    """At most so many within the window."""

    per_caller: int = 100
    per_account: int = 10


class Attempt(NamedTuple):
    command: UUID
    fingerprint: bytes
    """With the command: the same request again is the same attempt."""
    caller: str
    account: str
    """The one that would have been credited."""
    at: datetime

    @property
    def request(self) -> tuple[UUID, bytes]:
        return self.command, self.fingerprint


class Tried(NamedTuple):
    """Attempts to look for: of any of the callers or for any of the accounts, after a time."""

    callers: Collection[str]
    accounts: Collection[str]
    since: datetime


def tried_by(commands: Iterable[Command], clock: Callable[[], datetime]) -> Tried | None:
    """The attempts that count for these commands; None where no code was shown."""
    by_code = [
        one
        for command in commands
        for one in command.commands
        if isinstance(one, MakePayment) and one.shown is not None
    ]
    if not by_code:
        return None
    return Tried(
        callers={one.actor.caller for one in by_code},
        accounts={one.order.postings[0].credit for one in by_code},
        since=clock() - WINDOW,
    )


class AttemptStore(Protocol):
    def count_attempt(self, attempt: Attempt, since: datetime, limits: AttemptLimits) -> bool:
        """Counts it, once, unless the limits are reached, whoever counts beside; gives whether."""
        ...


class Attempts:
    """As a batch that is decided at `now` finds them, and goes on to count them."""

    def __init__(
        self,
        store: AttemptStore,
        limits: AttemptLimits,
        now: datetime,
        counted: Iterable[Attempt],
    ) -> None:
        """`counted` are those in the store, older ones maybe among them."""
        self._store = store
        self._limits = limits
        self._now = now
        self._counted: set[tuple[UUID, bytes]] = set()
        self._by_caller: dict[str, list[datetime]] = defaultdict(list)
        self._for_account: dict[str, list[datetime]] = defaultdict(list)
        for one in counted:
            if one.at > now - WINDOW:
                self._add(one)

    def check(self, attempt: Attempt) -> None:
        """Raises TooManyAttempts where there is no room for it, unless it has been counted: the
        same request again, or a batch that is decided once more."""
        if attempt.request in self._counted:
            return
        frees_at = [
            sorted(times)[-most] + WINDOW
            for times, most in (
                (self._by_caller[attempt.caller], self._limits.per_caller),
                (self._for_account[attempt.account], self._limits.per_account),
            )
            if len(times) >= most
        ]
        if frees_at:
            raise TooManyAttempts(max(1, ceil((max(frees_at) - self._now).total_seconds())))

    def count(self, attempt: Attempt) -> None:
        """Of a code that was never issued. Raises TooManyAttempts where others were faster."""
        if attempt.request in self._counted:
            return
        if not self._store.count_attempt(attempt, self._now - WINDOW, self._limits):
            raise TooManyAttempts(int(WINDOW.total_seconds()))
        self._add(attempt)

    def _add(self, attempt: Attempt) -> None:
        self._counted.add(attempt.request)
        self._by_caller[attempt.caller].append(attempt.at)
        self._for_account[attempt.account].append(attempt.at)
