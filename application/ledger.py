"""The ledger: decides batches of commands on a bounded cache of accounts, and records them.

One thread uses it, the writer's (application/writer.py). It is an `eventsourcing` Application
whose store is our recorder (port: application/ports.py) and whose events go in by
`events.put(...)` in command order, because `save()` groups them by aggregate.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

from eventsourcing.application import Application, LRUCache
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import (
    EventStore,
    InfrastructureFactory,
    Notification,
    Recording,
)
from eventsourcing.utils import Environment, EnvType

from application import accounts, payments
from application.answers import Answer, Recorded, answer, record_length
from application.batch import Batch, Decided, Decision, Draft, Known
from application.commands import (
    ChangeAccount,
    CloseAccount,
    Command,
    FreezeAccount,
    MakePayment,
    OpenAccount,
    UnfreezeAccount,
)
from application.ports import Clock, LedgerStore
from application.snapshots import Snapshots
from domain.account import Account
from domain.events import LedgerEvent
from domain.ids import account_stream

MAX_CATCH_UP_EVENTS = 10_000
"""Behind by more than this, an empty cache is cheaper than the events in between."""


class OrderedEventStore(EventStore[UUID]):
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
    ) -> None:
        """Decides for the ledger of that name; keeps at most `cache_accounts` accounts."""
        self._factory = factory
        super().__init__()
        self.ledger = ledger
        self.store = cast(LedgerStore, self.recorder)
        self._clock = clock
        self._snapshots = snapshots
        self._cache: LRUCache[UUID, Account] = LRUCache(maxsize=cache_accounts)
        self._position = 0
        """What the cached accounts have seen of the store."""
        self._stream = lru_cache(maxsize=cache_accounts)(
            lambda account_id: account_stream(ledger, account_id)
        )

    def construct_env(self, name: str, env: EnvType | None = None) -> Environment:
        # The library would read os.environ; ours is read in one place, the settings.
        return Environment(name)

    def construct_factory(self, env: Environment) -> InfrastructureFactory:
        return self._factory

    def construct_event_store(self) -> EventStore[UUID]:
        return OrderedEventStore(self.mapper, self.recorder)

    # Deciding -------------------------------------------------------------------------

    def decide(self, commands: Sequence[Command], in_doubt: Collection[UUID] = ()) -> Batch:
        """Decides all commands on the complete history up to one position.

        `in_doubt` are those that an earlier try may have recorded: found then, they are no replay.
        """
        batch = self._begin(commands, in_doubt)
        for command in commands:
            batch.decide(command, _decide)
        return batch

    def commit(self, batch: Batch) -> list[Answer | Exception]:
        """Appends the batch and gives the answers, in order. Raises as LedgerStore.insert_events.

        Where the append raises, nothing in the ledger has changed. Reading what was decided before
        may raise after it: the next try then finds this batch's commands by their keys.
        """
        if batch.events:
            self.events.put(batch.events, decided_at=batch.decided_at, recorded_at=batch.now)
            self._position = batch.decided_at + len(batch.events)
            for account in batch.accounts.values():
                self._cache.put(account.id, account)
                self._snapshots.consider(account.id, account.version)
        known = self._known_records(batch.decisions)
        return [self._answer(decision, batch, known) for decision in batch.decisions]

    def _begin(self, commands: Sequence[Command], in_doubt: Collection[UUID]) -> Batch:
        """A batch at the end of the store, with every account it needs at hand."""
        keys = [command.id for command in commands]
        wanted = {self._stream(name) for command in commands for name in command.account_ids()}
        while True:
            held = {stream: account for stream in wanted if (account := self._cached(stream))}
            fetched = self.store.fetch(keys, [stream for stream in wanted if stream not in held])
            if fetched.end == self._position and not fetched.unread:
                break
            for stream in fetched.unread:
                self._snapshots.take(stream)
            self._catch_up(fetched.end)
        loaded = self._snapshots.accounts(fetched.snapshots, fetched.of_accounts)
        for stream, account in loaded.items():
            self._cache.put(stream, account)
        held |= loaded
        now = self._clock()
        return Batch(
            ledger=self.ledger,
            decided_at=fetched.end,
            now=max(now, fetched.recorded_at) if fetched.recorded_at else now,
            cached=lambda account_id: held.get(self._stream(account_id)),
            known={first.event.command: first for first in self._recorded(fetched.of_keys)},
            in_doubt=in_doubt,
        )

    def _catch_up(self, end: int) -> None:
        """Brings the cache to the end of the store: others have written, or we have and not heard.

        The one recovery from a lost race, a lost answer and a takeover.
        """
        if end - self._position > MAX_CATCH_UP_EVENTS:
            self._cache.clear()
        else:
            for _, event in self._recorded(self.store.read(self._position + 1, end)):
                account = self._cached(event.originator_id)
                if account and account.version + 1 == event.originator_version:
                    event.mutate(account)
        self._position = end

    def _cached(self, stream: UUID) -> Account | None:
        try:
            return self._cache.get(stream)
        except KeyError:
            return None

    # Answering ------------------------------------------------------------------------

    def _answer(
        self, decision: Decision, batch: Batch, known: dict[UUID, list[Recorded]]
    ) -> Answer | Exception:
        match decision:
            case Decided(start, stop, replayed):
                first = batch.decided_at + 1
                return answer(
                    [Recorded(first + index, batch.events[index]) for index in range(start, stop)],
                    replayed=replayed,
                )
            case Known(first_recorded, replayed):
                return answer(known[first_recorded.event.command], replayed=replayed)
            case _:
                return decision

    def _known_records(self, decisions: Sequence[Decision]) -> dict[UUID, list[Recorded]]:
        """All events of the commands decided before, by command, in one query."""
        positions = [
            decision.first.position + offset
            for decision in decisions
            if isinstance(decision, Known)
            for offset in range(record_length(decision.first.event))
        ]
        records: dict[UUID, list[Recorded]] = {}
        if positions:
            for recorded in self._recorded(self.store.read_at(positions)):
                records.setdefault(recorded.event.command, []).append(recorded)
        return records

    def _recorded(self, stored: Iterable[Notification]) -> list[Recorded]:
        return [
            Recorded(one.id, cast(LedgerEvent, self.mapper.to_domain_event(one))) for one in stored
        ]


def _decide(command: Command, draft: Draft) -> None:
    """Which rule decides which command."""
    match command:
        case MakePayment():
            payments.make_payment(command, draft)
        case OpenAccount():
            accounts.open_account(command, draft)
        case ChangeAccount():
            accounts.change_account(command, draft)
        case FreezeAccount() | UnfreezeAccount() | CloseAccount():
            accounts.change_status(command, draft)
        case _:
            raise AssertionError(f"no rule decides {type(command).__name__}")
