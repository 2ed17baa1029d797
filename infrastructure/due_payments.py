"""What is due, found in the payments read model; of several processes one looks at a time."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, cast

import psycopg
from psycopg import Connection
from psycopg.rows import tuple_row

from application.due import Due
from application.ports import StoreUnavailable
from infrastructure.connections import GRACE_S, KEEPALIVES, READS, PatientConnection
from infrastructure.locks import SWEEPER_LOCK
from projections.payments.due import due_payments

OVERDUE: Final = timedelta(seconds=5)
"""What has lain so long is looked after by others too: who holds the lock may be paused."""

_SETTINGS: Final = " ".join(
    (
        f"{READS} -c lock_timeout=2s",
        # Who holds the lock on a machine that is gone must not keep it for hours.
        "-c tcp_keepalives_idle=2 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=2",
    )
)

_log = logging.getLogger(__name__)


class DuePaymentsReadModel:
    """Over a connection of its own, made anew at the look after it was lost."""

    def __init__(self, dsn: str, *, timeout_s: float) -> None:
        """Waits `timeout_s` for a connection, and for an answer."""
        self._dsn = dsn
        self._timeout_s = timeout_s
        self._connection: Connection[Any] | None = None
        self._leads = False

    def due(self, now: datetime, limit: int) -> Sequence[Due]:
        """See application/due.py."""
        try:
            if self._connection is None:
                self._connection = self._connect()
            leads = self._leads or self._take_lead(self._connection)
            found = due_payments(self._connection, now if leads else now - OVERDUE, limit)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self.close()
            raise StoreUnavailable from error
        return [Due._make(each) for each in found]

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection, self._leads = None, False

    def _take_lead(self, connection: Connection[Any]) -> bool:
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", (SWEEPER_LOCK,)).fetchone()
        self._leads = bool(row and row[0])
        if self._leads:
            _log.info("this process looks after what is due")
        return self._leads

    def _connect(self) -> Connection[Any]:
        connection: Any = PatientConnection.connect(
            self._dsn,
            autocommit=True,
            row_factory=cast(Any, tuple_row),
            application_name="tally sweeper",
            connect_timeout=max(2, int(self._timeout_s)),
            **KEEPALIVES,
            options=f"{_SETTINGS} -c statement_timeout={int(self._timeout_s * 1000)}",
        )
        connection.patience_s = self._timeout_s + GRACE_S
        return cast(Connection[Any], connection)
