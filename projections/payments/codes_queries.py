"""Pay codes and devices, one by one, at the watermark; never a code or a secret."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from domain.times import time_text
from projections.reading import View

_PAY_CODE = """
SELECT id, debit_account, currency, max_amount, confirm_above, expires_at, created_at, payment,
    CASE WHEN ended_position <= %(at)s THEN ended_position END AS ended,
    issued_position
FROM tally_read.payments_pay_codes{g} WHERE id = %(id)s AND issued_position <= %(at)s
"""

_DEVICE = """
SELECT d.id, d.handle, d.debit_account, d.currency, d.per_payment_max, d.offline_total_max,
    d.created_at, last.position, last.state, last.offline_spent
FROM tally_read.payments_devices{g} d CROSS JOIN LATERAL (
    SELECT position, state, offline_spent FROM tally_read.payments_devices_history{g}
    WHERE device = d.id AND position <= %(at)s ORDER BY position DESC LIMIT 1) last
WHERE d.id = %(id)s
"""


async def pay_code(view: View, id: UUID, *, now: datetime) -> dict[str, Any] | None:
    """One pay code, as of `now`; None where the read model doesn't have it."""
    rows = await view.rows(_PAY_CODE, {"id": id, "at": view.position})
    if not rows:
        return None
    row = rows[0]
    used = row["ended"] is not None and row["payment"] is not None
    over = row["ended"] is not None or row["expires_at"] <= now
    return {
        "id": str(row["id"]),
        "state": "used" if used else "expired" if over else "live",
        "debit_account": row["debit_account"],
        "currency": row["currency"],
        "max_amount": row["max_amount"],
        "confirm_above": row["confirm_above"],
        "expires_at": time_text(row["expires_at"]),
        "payment_id": str(row["payment"]) if used else None,
        "created_at": time_text(row["created_at"]),
        "position": row["ended"] or row["issued_position"],
    }


async def device(view: View, id: UUID) -> dict[str, Any] | None:
    """One device; None where the read model doesn't have it."""
    rows = await view.rows(_DEVICE, {"id": id, "at": view.position})
    if not rows:
        return None
    row = rows[0]
    return {
        "id": str(row["id"]),
        "state": row["state"],
        "handle": row["handle"],
        "debit_account": row["debit_account"],
        "currency": row["currency"],
        "per_payment_max": row["per_payment_max"],
        "offline_total_max": row["offline_total_max"],
        "offline_spent": row["offline_spent"],
        "created_at": time_text(row["created_at"]),
        "position": row["position"],
    }
