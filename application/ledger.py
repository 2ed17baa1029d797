"""The ledger: decides batches of commands on a bounded cache of accounts, and records them.

One thread uses it, the writer's (application/writer.py). It is an `eventsourcing` Application
whose store is our recorder (port: application/ports.py) and whose events go in by
`events.put(...)` in command order, because `save()` groups them by aggregate.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar, cast
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import (
    EventStore,
    InfrastructureFactory,
    Notification,
    Recording,
)
from eventsourcing.utils import Environment, EnvType

from application import accounts, codes, payment_requests, payments
from application.answers import Answer, Recorded, answer, record_length
from application.attempts import AttemptLimits, Attempts, tried_by
from application.batch import Batch, Decided, Decision, Draft, Known, Together
from application.cache import Recent, RecentAccounts
from application.commands import (
    CancelPayment,
    CapturePayment,
    ChangeAccount,
    CloseAccount,
    Command,
    ConfirmPayment,
    DeclinePayment,
    DeviceCommand,
    ExecutePayment,
    ExpirePayCode,
    ExpirePayment,
    FreezeAccount,
    IssuePayCode,
    MakePayment,
    OpenAccount,
    OpenPaymentRequest,
    PaymentRequestCommand,
    RefundPayment,
    RegisterDevice,
    UnfreezeAccount,
    VoidPayment,
)
from application.ports import Clock, End, Fetched, LedgerStore
from application.snapshots import Aggregate, Snapshots, replay
from domain.account import Account, AccountEvent
from domain.aggregate import Subject
from domain.events import CommandDecided, LedgerEvent
from domain.ids import account_stream

MAX_CATCH_UP_EVENTS = 10_000
"""Behind by more than this, an empty cache is cheaper than the events in between."""


NEAR = 20
"""To read so many events too many is cheaper than to ask the store once more."""


Key = TypeVar("Key", bound=Hashable)


class EventStoreWithoutRecordings(EventStore[UUID]):
    """The library's, but for the Recording objects nobody reads (a fifth of a batch's time)."""

    def put(
        self, domain_events: Sequence[DomainEventProtocol[UUID]], **kwargs: Any
    ) -> list[Recording[UUID]]:
        self.recorder.insert_events(
            [self.mapper.to_stored_event(event) for event in domain_events], **kwargs
        )
        return []


class Ledger(Application[UUID]):
    def __init__(
        self,
        *,
        ledger: str,
        factory: InfrastructureFactory,
        clock: Clock,
        snapshots: Snapshots,
        cache_accounts: int,
        attempt_limits: AttemptLimits,
    ) -> None:
        """Decides for the ledger of that name; keeps at most `cache_accounts` accounts."""
        self._factory = factory
        super().__init__()
        self.ledger = ledger
        self.store = cast(LedgerStore, self.recorder)
        self._clock = clock
        self._snapshots = snapshots
        self._cache_accounts = cache_accounts
        self._attempt_limits = attempt_limits
        self._empty_caches()
        self._end = End()
        """What the cached accounts have seen of the store."""
        self._undisturbed = False
        """Whether nothing was found, when last looked, that others had left there, and none of the
        keys."""

    def construct_env(self, name: str, env: EnvType | None = None) -> Environment:
        # The library would read os.environ; ours is read in one place, the settings.
        return Environment(name)

    def construct_factory(self, env: Environment) -> InfrastructureFactory:
        return self._factory

    def construct_event_store(self) -> EventStore[UUID]:
        return EventStoreWithoutRecordings(self.mapper, self.recorder)

    # Deciding -------------------------------------------------------------------------

    def decide(self, commands: Sequence[Command], in_doubt: Collection[UUID] = ()) -> Batch:
        """Decides all commands on the complete history up to one position.

        `in_doubt` are those that an earlier try may have recorded: found then, they are no replay.

        Where it is likely to find nothing, the store isn't looked at (docs/adr/0018): the append
        proves what was presumed. What records nothing it doesn't prove; then all are decided anew.
        """
        batch = self._begin(commands, in_doubt, presume=self._undisturbed and not in_doubt)
        batch.decide(commands)
        if batch.presumed and not batch.records(commands):
            batch = self._begin(commands, in_doubt, presume=False)
            batch.decide(commands)
        return batch

    def commit(self, batch: Batch) -> list[Answer | Exception]:
        """Appends the batch and gives the answers, in order. Raises as LedgerStore.insert_events.

        Where the append raises, nothing in the ledger has changed. Reading what was decided before
        may raise after it: the next try then finds this batch's commands by their keys.
        """
        if batch.events:
            # Where it raises, the next batch is looked up.
            undisturbed, self._undisturbed = self._undisturbed, False
            self.events.put(batch.events, decided_at=batch.decided_at, recorded_at=batch.now)
            self._undisturbed = undisturbed
            last = batch.events[-1]
            self._end = End(
                batch.decided_at.position + len(batch.events),
                last.originator_id,
                batch.now,
                self.mapper.to_stored_event(last).state,
            )
            for account in batch.accounts.values():
                self._accounts.keep(account.account, account)
                self._snapshots.consider(account.id, account.version)
            for subject in batch.subjects.values():
                self._keep(subject)
        read = self._read_known(batch.decisions)
        return [self._answer(decision, read) for decision in batch.decisions]

    def _begin(
        self, commands: Sequence[Command], in_doubt: Collection[UUID], *, presume: bool
    ) -> Batch:
        """A batch at the end of the store, with every account and subject it needs at hand.

        If it may `presume`, and lacks nothing of the store's, that is where we last knew the end,
        and none of the keys is known.
        """
        keys = [one.id for command in commands for one in command.commands]
        streams = {stream for command in commands for stream in command.about}
        subjects: dict[UUID, Subject | None] = {}
        accounts: dict[str, Account | None] = {}
        tried = tried_by(commands, self._clock)
        undisturbed = True
        while True:
            wanted = _missing(streams, subjects, self._subjects.find)
            names = _names(commands, subjects.values())
            of_accounts = {
                account_stream(self.ledger, name): name
                for name in _missing(names, accounts, self._accounts.find)
            }
            presume = presume and not (of_accounts or wanted or tried)
            if presume:
                fetched = Fetched(self._end)
            else:
                fetched = self.store.fetch(keys, [*of_accounts], wanted, tried)
            if fetched.end != self._end or fetched.unread:
                undisturbed = False
                for stream in fetched.unread:
                    self._snapshots.take(stream)
                self._catch_up(fetched.end)
                subjects.clear()
                accounts.clear()
                continue
            loaded = self._snapshots.aggregates(fetched.snapshots, fetched.of_streams)
            for stream, name in of_accounts.items():
                account = accounts[name] = cast(Account | None, loaded.get(stream))
                if account:
                    self._accounts.keep(name, account)
            for stream in wanted:
                # A stream that a client names may be of anything.
                subject = loaded.get(stream)
                subjects[stream] = subject if isinstance(subject, Subject) else None
            if not wanted or _names(commands, subjects.values()) <= accounts.keys():
                break
        self._undisturbed = undisturbed and not fetched.of_keys
        now = self._clock()
        now = max(now, fetched.end.recorded_at) if fetched.end.recorded_at else now
        return Batch(
            ledger=self.ledger,
            decided_at=fetched.end,
            now=now,
            presumed=presume,
            attempts=Attempts(self.store, self._attempt_limits, now, fetched.attempts),
            decide=_decide,
            account=accounts.get,
            subject=subjects.get,
            known={first.event.command: first for first in self._recorded(fetched.of_keys)},
            in_doubt=in_doubt,
        )

    def _catch_up(self, end: End) -> None:
        """Brings the cache to the end of the store: others have written, or we have and not heard.

        The one recovery from a lost race, a lost answer, a takeover, and of a store that has lost
        what we saw.
        """
        later = self._later(end)
        if later is None:
            self._empty_caches()
        else:
            for _, event in later:
                cached: Aggregate | None = self._subjects.find(event.originator_id)
                if isinstance(event, AccountEvent):
                    cached = self._accounts.find(event.account)
                if cached and cached.version + 1 == event.originator_version:
                    event.mutate(cached)
        self._end = end

    def _later(self, end: End) -> Sequence[Recorded] | None:
        """The events after those that the cache has seen; None where they are too many, or where
        the store has another history than that one."""
        ours = self._end
        if end.position - ours.position > MAX_CATCH_UP_EVENTS:
            return None
        stored = self.store.read(ours.position, end.position)
        found = self._recorded(stored)
        if ours == End():
            return found
        there = [
            End(at, one.originator_id, one.timestamp, stored[0].state) for at, one in found[:1]
        ]
        return found[1:] if there == [ours] else None

    def _empty_caches(self) -> None:
        self._accounts = RecentAccounts(self._cache_accounts)
        self._subjects: Recent[UUID, Subject] = Recent(self._cache_accounts)
        """Those that wait for something: a hold for its capture, a scheduled one for its time."""

    def _keep(self, subject: Subject) -> None:
        """For as long as something is to come of it."""
        if subject.waits:
            self._subjects.keep(subject.id, subject)
        else:
            self._subjects.pop(subject.id, None)

    # Answering ------------------------------------------------------------------------

    def _answer(self, decision: Decision, read: Mapping[int, Recorded]) -> Answer | Exception:
        match decision:
            case Decided(first, events, about, replayed):
                record = [Recorded(first + n, event) for n, event in enumerate(events)]
                return answer(record, about, replayed=replayed)
            case Known(first, replayed):
                return answer(*self._record_of(first, read), replayed=replayed)
            case Together(decisions):
                lines = [self._answer(each, read) for each in decisions]
                last = max((line.position for line in lines if isinstance(line, Answer)), default=0)
                return Answer({}, None, last, replayed=False, lines=lines)
            case _:
                return decision

    def _read_known(self, decisions: Iterable[Decision]) -> dict[int, Recorded]:
        """By position, what follows the first event of new payments decided before: those of a
        body that is sent again stand side by side, and are read at once."""
        each = chain.from_iterable(
            one.decisions if isinstance(one, Together) else (one,) for one in decisions
        )
        spans = sorted({_following(one.first) for one in each if isinstance(one, Known)})
        read: dict[int, Recorded] = {}
        for first, last in _merged(span for span in spans if span[0] <= span[1]):
            read |= {one.position: one for one in self._read(first, last)}
        return read

    def _record_of(
        self, first: Recorded, read: Mapping[int, Recorded]
    ) -> tuple[list[Recorded], Subject | None]:
        """All events of a command decided before, and what it is answered with as it was then."""
        position, event = first
        if not isinstance(event, CommandDecided):
            after, last = _following(first)
            record = [first, *(read[place] for place in range(after, last + 1))]
            return record, cast(Subject, event.mutate(None))
        stream = event.payment or event.payment_request or event.pay_code or event.device
        if stream is None or event.refusal:
            return [first], None
        until = [
            one for one in self._recorded(self.store.read_stream(stream)) if one.position < position
        ]
        about = cast(Subject, replay(None, (one.event for one in until)))
        if event.payment is None:
            return [first], about
        return self._read(until[-1].position, position), about  # balances are told too

    def _read(self, first: int, last: int) -> list[Recorded]:
        return self._recorded(self.store.read(first, last))

    def _recorded(self, stored: Iterable[Notification]) -> list[Recorded]:
        return [
            Recorded(one.id, cast(LedgerEvent, self.mapper.to_domain_event(one))) for one in stored
        ]


def _following(first: Recorded) -> tuple[int, int]:
    """The positions of a new payment's events after its first: from and to."""
    return first.position + 1, first.position + record_length(first.event) - 1


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same positions in fewer spans; those given are in order."""
    merged: list[tuple[int, int]] = []
    for after, until in spans:
        if merged and after - merged[-1][1] <= NEAR:
            merged[-1] = merged[-1][0], until
        else:
            merged.append((after, until))
    return merged


def _missing(
    wanted: Iterable[Key], found: dict[Key, Any], cached: Callable[[Key], Any]
) -> list[Key]:
    """Those that are in neither; what is cached is found from here on."""
    missing = []
    for key in wanted:
        if key not in found:
            if one := cached(key):
                found[key] = one
            else:
                missing.append(key)
    return missing


def _names(commands: Sequence[Command], subjects: Iterable[Subject | None]) -> set[str]:
    """Of the accounts that commands name, or that subjects at hand are on."""
    names = {name for command in commands for name in command.account_ids()}
    for subject in subjects:
        if subject:
            names |= subject.concerned
    return names


def _decide(command: Command, draft: Draft) -> None:
    """Which rule decides which command."""
    match command:
        case MakePayment():
            payments.make_payment(command, draft)
        case RefundPayment():
            payments.refund_payment(command, draft)
        case (
            CapturePayment() | VoidPayment() | CancelPayment() | ConfirmPayment() | DeclinePayment()
        ):
            payments.change_payment(command, draft)
        case ExpirePayment() | ExecutePayment():
            payments.do_what_is_due(command, draft)
        case OpenPaymentRequest() | PaymentRequestCommand():
            payment_requests.decide(command, draft)
        case IssuePayCode() | ExpirePayCode() | RegisterDevice() | DeviceCommand():
            codes.decide(command, draft)
        case OpenAccount():
            accounts.open_account(command, draft)
        case ChangeAccount():
            accounts.change_account(command, draft)
        case FreezeAccount() | UnfreezeAccount() | CloseAccount():
            accounts.change_status(command, draft)
        case _:
            raise AssertionError(f"no rule decides {type(command).__name__}")
