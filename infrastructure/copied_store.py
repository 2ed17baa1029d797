"""A store that is made from nothing by one process: what a benchmark measures on.

`tally.append` keeps two indexes up and commits by the batch: ten million events took it 24 minutes.
Here they go in by COPY, in one transaction, and the indexes are built once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

import psycopg
from eventsourcing.persistence import StoredEvent

from application.attempts import Tried
from application.ports import End, Fetched
from infrastructure.store import Datastore, LedgerRecorder, StoreFactory


class NotEmpty(Exception):
    """The store has events already: they are for ever."""


_LOCKED: Final = "LOCK TABLE tally.events IN ACCESS EXCLUSIVE MODE"
_ANY: Final = "SELECT EXISTS (SELECT FROM tally.events)"
# Empty as it is, truncated: only of a table made in the same transaction does COPY freeze rows.
_WITHOUT_INDEXES: Final = """
TRUNCATE tally.events;
ALTER TABLE tally.events DROP CONSTRAINT events_pkey, DROP CONSTRAINT events_stream_version_key
"""
# Frozen as they come: no vacuum has them to do while something is measured.
_COPY: Final = """
COPY tally.events (position, stream, version, type, recorded_at, payload)
FROM STDIN (FORMAT BINARY, FREEZE)
"""
_TYPES: Final = ("int8", "uuid", "int8", "text", "timestamptz", "bytea")
_INDEXED: Final = """
SET LOCAL maintenance_work_mem = '512MB';
ALTER TABLE tally.events ADD PRIMARY KEY (position), ADD UNIQUE (stream, version);
ANALYZE tally.events
"""


class CopiedStore(LedgerRecorder):
    """Knows no more than what its one writer keeps: every account in the cache, no command twice.

    Port: as much of application.ports.LedgerStore as deciding asks for then.
    """

    def __init__(self, datastore: Datastore, copy: psycopg.Copy) -> None:
        super().__init__(datastore)
        self._copy = copy
        self._end = End()

    def fetch(
        self,
        keys: Sequence[UUID],
        accounts: Sequence[UUID],
        subjects: Sequence[UUID],
        tried: Tried | None = None,
    ) -> Fetched:
        return Fetched(self._end)

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        recorded_at: datetime = kwargs["recorded_at"]
        first = self._end.position + 1
        for position, event in enumerate(stored_events, first):
            self._copy.write_row(
                (
                    position,
                    cast(UUID, event.originator_id),
                    event.originator_version,
                    event.topic,
                    recorded_at,
                    event.state,
                )
            )
        last = stored_events[-1]
        self._end = End(
            self._end.position + len(stored_events),
            cast(UUID, last.originator_id),
            recorded_at,
            last.state,
        )
        return range(first, self._end.position + 1)


class CopiedStoreFactory(StoreFactory):
    def __init__(self, datastore: Datastore, copy: psycopg.Copy) -> None:
        super().__init__(datastore)
        self._copy = copy

    def application_recorder(self) -> LedgerRecorder:
        return CopiedStore(self._datastore, self._copy)


@contextmanager
def copied_into(owner_dsn: str) -> Iterator[psycopg.Copy]:
    """Into an empty store: all of it is there at the end of the block, or nothing, and nobody else
    gets at the store meanwhile. Raises NotEmpty."""
    with psycopg.connect(owner_dsn) as connection, connection.cursor() as cursor:
        cursor.execute(_LOCKED)
        if cursor.execute(_ANY).fetchone() != (False,):
            raise NotEmpty
        cursor.execute(_WITHOUT_INDEXES)
        with cursor.copy(_COPY) as copy:
            copy.set_types(_TYPES)
            yield copy
        cursor.execute(_INDEXED)
