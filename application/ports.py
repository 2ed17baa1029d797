"""What the application needs of the world; adapters are in infrastructure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from eventsourcing.persistence import Notification, StoredEvent

from application.attempts import Attempt, AttemptStore, Tried

Clock = Callable[[], datetime]
"""The time now, aware and in UTC."""


class StoreUnavailable(Exception):
    """The store did not answer in time: what became of the command is unknown."""


class StorageFull(Exception):
    """The store has no room left; what became of the command is unknown."""


class EndMoved(Exception):
    """The end of the store is not where the batch was decided: nothing was appended."""


class End(NamedTuple):
    """The last event of the store, which tells a history from another one as long as it.

    A store may lose its tail and go on: a standby is promoted that lacked it, or an older backup
    is restored.
    """

    position: int = 0
    stream: UUID | None = None
    recorded_at: datetime | None = None
    payload: bytes | None = None
    """It names the command; this and the two before it are None where the store is empty."""


class StoredSnapshot(NamedTuple):
    """An aggregate's state as replayed from the store."""

    stream: UUID
    version: int
    state_version: int
    position: int
    """Where the event of that version stands."""
    state: bytes


class Fetched(NamedTuple):
    """What a batch is decided on, as of one snapshot of the store."""

    end: End
    of_keys: Sequence[Notification] = ()
    """The first event of each key's stream that there is."""
    snapshots: Sequence[StoredSnapshot] = ()
    of_streams: Sequence[Notification] = ()
    """Events of the accounts asked for, after their snapshots, and of the other subjects; stream
    by stream, in order."""
    unread: Sequence[UUID] = ()
    """Accounts too long to load here: they want a snapshot first."""
    attempts: Sequence[Attempt] = ()
    """Those that were asked for."""


class LedgerStore(AttemptStore, Protocol):
    """The event store as the writer uses it: one append at a time, compare-and-set on its end."""

    def fetch(
        self,
        keys: Sequence[UUID],
        accounts: Sequence[UUID],
        subjects: Sequence[UUID],
        tried: Tried | None = None,
    ) -> Fetched:
        """All that deciding needs and the cache lacks, in one query and one snapshot.

        Clients name `subjects`: of a stream that is an account's, or a command's, nothing is read.
        """
        ...

    def read(self, first: int, last: int) -> Sequence[Notification]:
        """Events at the positions first..last."""
        ...

    def read_stream(self, stream: UUID) -> Sequence[Notification]:
        """All events of a stream, in order."""
        ...

    def insert_events(
        self, stored_events: Sequence[StoredEvent], *, decided_at: End, recorded_at: datetime
    ) -> Sequence[int]:
        """Appends all or nothing, gives their positions.

        Raises EndMoved where the end is another than `decided_at`, StorageFull, and the library's
        OperationalError or InterfaceError where it is unknown whether the append happened.
        """
        ...

    def turn(self) -> AbstractContextManager[None]:
        """The writers' turn, for one that lost a race: others wait for it, briefly.

        A courtesy that bounds how often a writer loses; appends are correct without it.
        """
        ...


class SnapshotStore(Protocol):
    """Where snapshots are kept, and the events that they are made of."""

    def on_one_connection(self) -> AbstractContextManager[SnapshotStore]:
        """The same, of which all calls are of one history: of that of one server, until it ends."""
        ...

    def load_snapshot(self, stream: UUID) -> StoredSnapshot | None:
        """The stream's snapshot, where there is one of the present state version."""
        ...

    def save_snapshot(self, snapshot: StoredSnapshot) -> None:
        """Keeps it, unless there is a later one of that stream."""
        ...

    def select_events(
        self, originator_id: UUID, *, gt: int | None = None, limit: int | None = None
    ) -> Sequence[StoredEvent]:
        """The stream's events after version `gt`, in order."""
        ...
