"""Payments, payment requests and pay codes whose deadline or time has come, as recorded: what is
still to be done about them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg import Connection
from psycopg.errors import UndefinedTable

from projections.checkpoints import pointer
from projections.tables import sql

# A range of an index each, each in order; the oldest first, and of one time the first made.
_DUE: Final = """
(SELECT id, 'expire', expires_at AS at, created_position FROM tally_read.payments{g}
 WHERE state IN ('held', 'pending_confirmation') AND expires_at <= %(now)s
 ORDER BY expires_at, created_position LIMIT %(limit)s)
UNION ALL
(SELECT id, 'execute', execute_at AS at, created_position FROM tally_read.payments{g}
 WHERE state = 'scheduled' AND execute_at <= %(now)s
 ORDER BY execute_at, created_position LIMIT %(limit)s)
UNION ALL
(SELECT id, 'expire_request', expires_at AS at, created_position
 FROM tally_read.payments_requests{g} WHERE state = 'open' AND expires_at <= %(now)s
 ORDER BY expires_at, created_position LIMIT %(limit)s)
UNION ALL
(SELECT id, 'expire_code', expires_at AS at, issued_position FROM tally_read.payments_pay_codes{g}
 WHERE ended_position IS NULL AND expires_at <= %(now)s
 ORDER BY expires_at LIMIT %(limit)s)
ORDER BY at, created_position LIMIT %(limit)s
"""


def due_payments(connection: Connection[Any], now: datetime, limit: int) -> list[tuple[UUID, str]]:
    """Id and step (`expire`, `execute`, `expire_request` or `expire_code`); none where there is no
    read model.

    The connection gives rows as tuples.
    """
    try:
        live = pointer(connection, "payments")
        if live is None:
            return []
        rows = connection.execute(sql(_DUE, live.generation), {"now": now, "limit": limit})
        return [(subject, step) for subject, step, *_ in rows]
    except UndefinedTable:  # dropped, or a rebuild has just taken the old tables away
        return []
