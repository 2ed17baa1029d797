"""Snapshots of accounts: replayed from the store, off the commit path, disposable.

A hot account with a million events is ready in milliseconds after a restart. Never taken from
the writer's cache: a snapshot must say what the events say, so that `tally reconcile` can compare
each with a replay.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import attrgetter
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, cast
from uuid import UUID

from eventsourcing.persistence import Mapper, Notification, PersistenceError
from msgspec import Struct, structs
from msgspec.json import Decoder, Encoder

from application.ports import SnapshotStore, StoredSnapshot
from domain.account import Account
from domain.aggregate import Subject
from domain.events import LedgerEvent, Metadata, NormalSide, Status
from domain.holds import Holds
from domain.limits import Meter

PAGE_EVENTS = 5_000

Aggregate = Account | Subject

_log = logging.getLogger(__name__)


class State(Struct):
    """An account as stored: the members in this order, so that two states compare as bytes."""

    account: str
    currency: str
    normal_side: NormalSide
    overdraft_limit: int | None
    max_balance: int | None
    metadata: Metadata
    status: Status
    posted: int
    pending_debit: int
    pending_credit: int
    holds: Holds
    meters: tuple[Meter, ...]
    opened_at: datetime


state_of: Final = attrgetter(*State.__struct_fields__[:-1], "created_on")
"""The values of an account's members of State."""
_encoder: Final = Encoder()
_decoder: Final = Decoder(State)


def account_with(stream: UUID, version: int, state: dict[str, Any]) -> Account:
    """The account that had these members of State."""
    account = object.__new__(Account)
    account.__base_init__(stream, version, state.pop("opened_at"))
    vars(account).update(state)
    return account


def stored_state(account: Account) -> bytes:
    """The account's state as stored."""
    return _encoder.encode(State(*state_of(account)))


def account_of(snapshot: StoredSnapshot) -> Account:
    """The account as of a snapshot."""
    state = structs.asdict(_decoder.decode(snapshot.state))
    return account_with(snapshot.stream, snapshot.version, state)


def replay(aggregate: Aggregate | None, events: Iterable[LedgerEvent]) -> Aggregate | None:
    """The aggregate after these events too; None where there is neither."""
    for event in events:
        aggregate = cast(Aggregate, event.mutate(aggregate))
    return aggregate


class Snapshots:
    """Takes snapshots in a thread of its own, one every `interval` events of an account."""

    def __init__(self, store: SnapshotStore, mapper: Mapper[UUID], *, interval: int) -> None:
        self._store = store
        self._mapper = mapper
        self._interval = interval
        self._due: dict[UUID, int] = {}
        self._queue: SimpleQueue[UUID | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="snapshots", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def consider(self, stream: UUID, version: int) -> None:
        """Has a snapshot taken where the account has come far enough since the last one."""
        if version >= self._interval and version >= self._due.get(stream, 0):
            self._due[stream] = version + self._interval
            self._queue.put(stream)

    def take(self, stream: UUID) -> None:
        """Replays the account from its last snapshot and stores the new one."""
        # Where another server takes over meanwhile, which lacks some of it, none must be stored.
        with self._store.on_one_connection() as store:
            snapshot = store.load_snapshot(stream)
            account = account_of(snapshot) if snapshot else None
            position = snapshot.position if snapshot else 0
            while page := _page(store, stream, account.version if account else 0):
                account = cast(Account, replay(account, self.events(page)))
                position = page[-1].id
            if account:
                state = stored_state(account)
                store.save_snapshot(
                    StoredSnapshot(stream, account.version, Account.STATE_VERSION, position, state)
                )

    def differs(self, snapshot: StoredSnapshot) -> bool:
        """Whether a replay from the first event on, up to its version, gives another state.

        One of another state version is used by nobody: it can't be wrong.
        """
        if snapshot.state_version != Account.STATE_VERSION:
            return False
        account: Account | None = None
        position = version = 0
        while version < snapshot.version:
            page = _page(self._store, snapshot.stream, version)[: snapshot.version - version]
            account = cast(Account | None, replay(account, self.events(page)))
            if account is None or not page:
                return True  # of events that are not there
            position, version = page[-1].id, account.version
        return (
            account is None
            or position != snapshot.position
            or stored_state(account) != snapshot.state
        )

    def aggregates(
        self, snapshots: Iterable[StoredSnapshot], stored: Sequence[Notification]
    ) -> dict[UUID, Aggregate]:
        """What the streams are of, by stream: of their snapshots and the events after them."""
        aggregates: dict[UUID, Aggregate] = {
            snapshot.stream: account_of(snapshot) for snapshot in snapshots
        }
        for event in self.events(stored):
            stream = event.originator_id
            aggregates[stream] = cast(Aggregate, event.mutate(aggregates.get(stream)))
        return aggregates

    def events(self, stored: Iterable[Notification]) -> Iterable[LedgerEvent]:
        return (cast(LedgerEvent, self._mapper.to_domain_event(one)) for one in stored)

    def _run(self) -> None:
        while (stream := self._queue.get()) is not None:
            try:
                self.take(stream)
            except PersistenceError as error:
                # It is a cache: the next one that comes due brings it.
                _log.warning("snapshot not taken", extra={"reason": type(error).__name__})


def _page(store: SnapshotStore, stream: UUID, after_version: int) -> Sequence[Notification]:
    events = store.select_events(stream, gt=after_version, limit=PAGE_EVENTS)
    return cast(Sequence[Notification], events)
