"""A batch of commands being decided together, at one position of the store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from application.answers import Recorded
from application.commands import Command
from domain.account import Account
from domain.events import CommandDecided, LedgerEvent, PaymentDecided
from domain.refusals import IdempotencyKeyReused


class Decided(NamedTuple):
    """Decided in this batch: `batch.events[start:stop]`, once they are in the store."""

    start: int
    stop: int
    replayed: bool


class Known(NamedTuple):
    """Decided before: the first event of its stream, from the store."""

    first: Recorded
    replayed: bool


Decision = Decided | Known | Exception
"""An exception is an Undecided refusal, or the defect that deciding this command ran into."""


class Draft:
    """What one command would do: copies of the accounts it touches, and its events in order."""

    def __init__(self, batch: Batch) -> None:
        self.now = batch.now
        self.ledger = batch.ledger
        self.events: list[LedgerEvent] = []
        self.accounts: dict[str, Account] = {}
        self._batch = batch

    def account(self, account_id: str) -> Account | None:
        """A copy of the account as the commands before this one leave it; None: it's unknown."""
        account = self._batch.account(account_id)
        if account is None:
            return None
        copy = self.accounts[account_id] = account.copied()
        return copy


class Batch:
    """Changes nothing outside itself: copies replace the cached accounts after the commit."""

    def __init__(
        self,
        *,
        ledger: str,
        decided_at: int,
        now: datetime,
        cached: Callable[[str], Account | None],
        known: Mapping[UUID, Recorded],
        in_doubt: Collection[UUID] = (),
    ) -> None:
        """`in_doubt` are the commands of an earlier try whose append may have landed."""
        self.ledger = ledger
        self.decided_at = decided_at
        self.now = now
        self.events: list[LedgerEvent] = []
        self.accounts: dict[str, Account] = {}
        """The accounts changed so far, by id."""
        self.decisions: list[Decision] = []
        self._cached = cached
        self._known = known
        self._in_doubt = set(in_doubt)
        self._met: dict[UUID, tuple[bytes, Decided]] = {}

    def decide(self, command: Command, decide: Callable[[Command, Draft], None]) -> None:
        """Decides one command; a refusal or a defect costs this command only."""
        try:
            decision = self._met_before(command) or self._accept(command, decide)
        except Exception as refusal_or_defect:  # noqa: BLE001 (it is answered, not swallowed)
            self.decisions.append(refusal_or_defect)
        else:
            self.decisions.append(decision)

    def account(self, account_id: str) -> Account | None:
        return self.accounts.get(account_id) or self._cached(account_id)

    def accepted(self) -> Collection[UUID]:
        """The commands that it records."""
        return self._met.keys()

    def _met_before(self, command: Command) -> Decided | Known | None:
        if command.id in self._met:
            fingerprint, decided = self._met[command.id]
            if fingerprint != command.fingerprint:
                raise IdempotencyKeyReused
            return decided._replace(replayed=True)
        if command.id in self._known:
            recorded = self._known[command.id]
            first = recorded.event
            assert isinstance(first, PaymentDecided | CommandDecided)
            if first.fingerprint != command.fingerprint:
                raise IdempotencyKeyReused
            # Its own append may have landed although the answer was lost: that is no replay.
            own = command.id in self._in_doubt and first.actor == command.actor
            self._in_doubt.discard(command.id)
            return Known(recorded, replayed=not own)
        return None

    def _accept(self, command: Command, decide: Callable[[Command, Draft], None]) -> Decided:
        draft = Draft(self)
        decide(command, draft)
        decided = Decided(len(self.events), len(self.events) + len(draft.events), replayed=False)
        self.events += draft.events
        self.accounts |= draft.accounts
        self._met[command.id] = (command.fingerprint, decided)
        return decided
