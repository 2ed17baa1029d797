"""A batch of commands being decided together, at one position of the store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from application.answers import Recorded
from application.attempts import Attempts
from application.commands import Command, PayTogether
from application.ports import End
from domain.account import Account
from domain.aggregate import Subject
from domain.code_events import DeviceRegistered
from domain.command import CommandRecord
from domain.events import CommandDecided, LedgerEvent, PaymentDecided, PaymentRefused
from domain.refusals import REFUSED, IdempotencyKeyReused, Refusal, Refused, Undecided


class Decided(NamedTuple):
    """Decided in this batch: in the store once the batch is, but for a dry run's."""

    first_position: int
    events: Sequence[LedgerEvent]
    about: Subject | None
    """What it is answered with, as it is right after it; None: an account."""
    replayed: bool


class Known(NamedTuple):
    """Decided before: the first event of its stream, from the store."""

    first: Recorded
    replayed: bool


class Together(NamedTuple):
    """Of commands that are decided one after the other, as one."""

    decisions: Sequence[Decided | Known | Exception]


Decision = Decided | Known | Together | Exception
"""An exception is an Undecided refusal, or the defect that deciding this command ran into."""
Decide = Callable[[Command, "Draft"], None]
Kind = TypeVar("Kind", bound=Subject)


class BulkRefused(Undecided):
    """One of the commands that go together is refused: none is recorded."""

    code = "bulk_refused"
    detail = "Nothing was recorded; correct the line named, or send the lines without `atomic`."

    def __init__(self, line: int, refusal: Refusal) -> None:
        """`line` from 0, and what it was refused for."""
        super().__init__(line=line)
        self.refusal = refusal


class Draft:
    """What one command would do: copies of what it touches, and its events in order."""

    def __init__(self, batch: Batch) -> None:
        self.now = batch.now
        self.ledger = batch.ledger
        self.events: list[LedgerEvent] = []
        self.accounts: dict[str, Account] = {}
        self.subjects: dict[UUID, Subject] = {}
        """What it makes and changes besides accounts, by stream."""
        self.about: Subject | None = None
        """What the command is answered with, where it isn't an account."""
        self._batch = batch

    @property
    def attempts(self) -> Attempts:
        """Of the codes that nobody issued."""
        return self._batch.attempts

    def account(self, account_id: str) -> Account | None:
        """A copy of the account as the commands before this one leave it; None: it's unknown."""
        account = self._batch.account(account_id)
        if account is None:
            return None
        copy = self.accounts[account_id] = account.copied()
        return copy

    def accounts_of(self, account_ids: Iterable[str]) -> dict[str, Account]:
        """Copies of those accounts that there are."""
        return {
            account_id: account
            for account_id in account_ids
            if (account := self.account(account_id)) is not None
        }

    def subject(self, stream: UUID, kind: type[Kind]) -> Kind | None:
        """A copy as the commands before this one leave it; None: no such thing is of that kind.

        What is changed of it counts once it is among `subjects`.
        """
        subject = self._batch.subject(stream)
        return subject.copied() if isinstance(subject, kind) else None

    def is_about(self, subject: Subject) -> None:
        """Says what the command makes or changes, and is answered with."""
        self.about = self.subjects[subject.id] = subject

    def record(
        self, name: str, command: Command, *, refused: Refused | None = None, **about: Any
    ) -> None:
        """Records the command, last of its events, also where it changed nothing; `about` says
        what it was about, as CommandRecord.decide takes it."""
        self.events += CommandRecord.decide(
            stream=command.id,
            fingerprint=command.fingerprint,
            actor=command.actor,
            now=self.now,
            name=name,
            refused=refused,
            **about,
        ).collect()


class Batch:
    """Changes nothing outside itself: copies replace what is cached after the commit."""

    def __init__(
        self,
        *,
        ledger: str,
        decided_at: End,
        now: datetime,
        decide: Decide,
        account: Callable[[str], Account | None],
        subject: Callable[[UUID], Subject | None],
        known: Mapping[UUID, Recorded],
        attempts: Attempts,
        in_doubt: Collection[UUID] = (),
        presumed: bool = False,
    ) -> None:
        """`in_doubt` are the commands of an earlier try whose append may have landed; `presumed`
        is one that the store wasn't looked at for."""
        self.ledger = ledger
        self.decided_at = decided_at
        self.now = now
        self.presumed = presumed
        self.attempts = attempts
        self.events: list[LedgerEvent] = []
        self.accounts: dict[str, Account] = {}
        """The accounts changed so far, by id."""
        self.subjects: dict[UUID, Subject] = {}
        """What was made and changed so far besides accounts, by stream."""
        self.decisions: list[Decision] = []
        self._decide = decide
        self._cached_account = account
        self._cached_subject = subject
        self._known = known
        self._in_doubt = set(in_doubt)
        self._met: dict[UUID, tuple[bytes, Decided]] = {}

    def decide(self, commands: Iterable[Command]) -> None:
        """In order; a refusal or a defect costs its command only."""
        for command in commands:
            self._decide_next(command)

    def _decide_next(self, command: Command) -> None:
        try:
            if isinstance(command, PayTogether):
                decision: Decision = self._together(command)
            else:
                decision = self._one(command, dry_run=command.dry_run)
        except Exception as refusal_or_defect:  # noqa: BLE001 (it is answered, not swallowed)
            self.decisions.append(refusal_or_defect)
        else:
            self.decisions.append(decision)

    def account(self, account_id: str) -> Account | None:
        return self.accounts.get(account_id) or self._cached_account(account_id)

    def subject(self, stream: UUID) -> Subject | None:
        return self.subjects.get(stream) or self._cached_subject(stream)

    def accepted(self) -> Collection[UUID]:
        """The commands that it records."""
        return self._met.keys()

    def records(self, commands: Iterable[Command]) -> bool:
        """Whether it records each of them, once."""
        return len(self._met) == sum(len(command.commands) for command in commands)

    def _one(self, command: Command, *, dry_run: bool) -> Decided | Known:
        return self._met_before(command) or self._accept(command, dry_run=dry_run)

    def _together(self, together: PayTogether) -> Together:
        """Decided on the batch itself, which is put back where nothing is to be recorded."""
        if not (together.all_or_none or together.dry_run):
            return Together([self._tried(payment) for payment in together.payments])
        events, accounts, subjects = len(self.events), dict(self.accounts), dict(self.subjects)
        met = dict(self._met)
        keep = False
        try:
            decisions: list[Decided | Known | Exception] = [
                self._accepted(line, payment) if together.all_or_none else self._tried(payment)
                for line, payment in enumerate(together.payments)
            ]
            keep = not together.dry_run
        finally:
            if not keep:
                del self.events[events:]
                self.accounts, self.subjects, self._met = accounts, subjects, met
        return Together(decisions)

    def _tried(self, command: Command) -> Decided | Known | Exception:
        try:
            return self._one(command, dry_run=False)
        except Exception as refusal_or_defect:  # noqa: BLE001 (it is answered, not swallowed)
            return refusal_or_defect

    def _accepted(self, line: int, command: Command) -> Decided | Known:
        try:
            decision = self._one(command, dry_run=False)
        except Undecided as undecided:
            raise BulkRefused(line, undecided) from undecided
        first = decision.first.event if isinstance(decision, Known) else decision.events[0]
        if isinstance(first, PaymentRefused):
            members = dict(first.refusal)
            refused = REFUSED[members.pop("code")]
            # One that an earlier request made is there to be read; this one's never will be.
            about = {"payment_id": str(first.originator_id)} if decision.replayed else {}
            raise BulkRefused(line, refused(**members, **about))
        return decision

    def _met_before(self, command: Command) -> Decided | Known | None:
        if command.id in self._met:
            fingerprint, decided = self._met[command.id]
            if fingerprint != command.fingerprint:
                raise IdempotencyKeyReused
            return decided._replace(replayed=True)
        if command.id in self._known:
            recorded = self._known[command.id]
            first = recorded.event
            assert isinstance(first, PaymentDecided | CommandDecided | DeviceRegistered)
            if first.fingerprint != command.fingerprint:
                raise IdempotencyKeyReused
            # Its own append may have landed although the answer was lost: that is no replay.
            own = command.id in self._in_doubt and first.actor == command.actor
            self._in_doubt.discard(command.id)
            return Known(recorded, replayed=not own)
        return None

    def _accept(self, command: Command, *, dry_run: bool) -> Decided:
        draft = Draft(self)
        self._decide(command, draft)
        first = self.decided_at.position + len(self.events) + 1
        decided = Decided(first, draft.events, draft.about, replayed=False)
        if not dry_run:
            self.events += draft.events
            self.accounts |= draft.accounts
            self.subjects |= draft.subjects
            self._met[command.id] = (command.fingerprint, decided)
        return decided
