"""Payments as clients see them, one by one and listed newest first."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from domain.times import time_text
from projections.reading import Page, View

_ONE = """
SELECT * FROM tally_read.payments{g} WHERE id = %(id)s AND position <= %(at)s
"""

_FILTERS: Final = {
    "reference": "AND p.reference = %(reference)s",
    "state": "AND p.state = %(state)s",
    "carrier": "AND p.carrier = %(carrier)s",
    # Recorded times are monotone in position: a time is a bound of positions, found by index.
    "created_from": """AND {list}.created_position >= coalesce((
        SELECT f.created_position FROM tally_read.payments{g} f
        WHERE f.created_at >= %(created_from)s
        ORDER BY f.created_at, f.created_position LIMIT 1), 9223372036854775807)""",
    "created_to": """AND {list}.created_position <= coalesce((
        SELECT f.created_position FROM tally_read.payments{g} f
        WHERE f.created_at < %(created_to)s
        ORDER BY f.created_at DESC, f.created_position DESC LIMIT 1), 0)""",
}

_ALL = """
SELECT p.* FROM tally_read.payments{g} p
WHERE p.created_position < %(before)s AND p.position <= %(at)s __FILTERS__
ORDER BY p.created_position DESC LIMIT %(limit)s
"""

_OF_ACCOUNT = """
SELECT p.* FROM tally_read.payments_accounts{g} a
JOIN tally_read.payments{g} p USING (created_position)
WHERE a.account = %(account)s AND a.created_position < %(before)s AND p.position <= %(at)s
__FILTERS__
ORDER BY a.created_position DESC LIMIT %(limit)s
"""

NEWEST: Final = 2**63 - 1


async def payment(view: View, id: UUID) -> dict[str, Any] | None:
    """One payment; None where the read model doesn't have it."""
    rows = await view.rows(_ONE, {"id": id, "at": view.position})
    return _payment(rows[0]) if rows else None


async def payments(
    view: View,
    *,
    account: str | None = None,
    reference: str | None = None,
    state: str | None = None,
    carrier: str | None = None,
    created_from: datetime | None = None,
    created_to: datetime | None = None,
    before: int = NEWEST,
    limit: int,
) -> Page:
    """Payments newest first, `created_to` exclusive; the key of a page is a position, to be given
    as `before` for the next one."""
    given = {
        "reference": reference,
        "state": state,
        "carrier": carrier,
        "created_from": created_from,
        "created_to": created_to,
    }
    filters = " ".join(text for name, text in _FILTERS.items() if given[name] is not None)
    query = (_ALL if account is None else _OF_ACCOUNT).replace("__FILTERS__", filters)
    rows = await view.rows(
        query.replace("{list}", "p" if account is None else "a"),
        {**given, "account": account, "before": before, "at": view.position, "limit": limit + 1},
    )
    more = len(rows) > limit
    return Page(
        [_payment(row) for row in rows[:limit]],
        (rows[limit - 1]["created_position"],) if more else None,
    )


def _payment(row: dict[str, Any]) -> dict[str, Any]:
    settled = row["state"] == "settled"
    answer = {
        "id": str(row["id"]),
        "state": row["state"],
        "mode": row["mode"],
        "postings": [
            {
                "debit": debit,
                "credit": credit,
                "amount": amount_minor,
                "currency": currency,
                "captured": amount_minor if settled else 0,
                "refunded": 0,
            }
            for debit, credit, amount_minor, currency in row["postings"]
        ],
        "reference": row["reference"],
        "carrier": row["carrier"],
        "value_date": row["value_date"].isoformat(),
        "metadata": row["metadata"],
        "created_at": time_text(row["created_at"]),
        "hold_expires_at": None,
        "refund_of": None,
        "position": row["position"],
    }
    return answer if row["refusal"] is None else answer | {"refusal": row["refusal"]}
