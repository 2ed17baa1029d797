"""Payment requests as clients see them, one by one and listed newest first.

A read is at the watermark and at a time, which is never before the watermark's own: one that is
past its deadline then is shown as expired, whether that has been recorded or not.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from domain.times import time_text
from projections.reading import NEWEST, Page, View

# The state, by the row of what changes of it (the alias in braces).
_STATE = """
CASE WHEN {of}.state = 'open' AND {of}.expires_at <= %(now)s THEN 'expired' ELSE {of}.state END
"""

_COLUMNS = f"""
r.created_position, r.id, r.credit_account, r.currency, r.reference, r.created_at, r.metadata,
r.token_key, {{of}}.position, {{of}}.revision, {{of}}.amount, {{of}}.description,
{{of}}.expires_in_s, {{of}}.expires_at, {{of}}.payment, {_STATE} AS state
"""

# What each is at the watermark: its row, or, where that is beyond it, what it was before.
_LATEST = (
    f"SELECT {_COLUMNS.replace('{of}', 'r')} FROM tally_read.payments_requests{{g}} r"
    " WHERE r.position <= %(at)s"
)
# These are few, and lead to what they are joined with: OFFSET keeps the planner from the way round.
_DUE = (
    f"SELECT {_COLUMNS.replace('{of}', 'r')} FROM"
    " (SELECT * FROM tally_read.payments_requests{g}"
    " WHERE state = 'open' AND expires_at <= %(now)s OFFSET 0) r"
    " WHERE r.position <= %(at)s"
)
_BEFORE = (
    f"SELECT {_COLUMNS.replace('{of}', 'b')} FROM tally_read.payments_requests_before{{g}} b"
    " CROSS JOIN LATERAL"
    " (SELECT * FROM tally_read.payments_requests{g} WHERE id = b.id OFFSET 0) r"
    " WHERE b.position <= %(at)s AND b.until > %(at)s"
)

_ONE = " UNION ALL ".join(
    f"{rows} AND {of}.id = %(id)s" for rows, of in ((_LATEST, "r"), (_BEFORE, "b"))
)

_PAGE = """
AND r.created_position < %(before)s __FILTER__
ORDER BY r.created_position DESC LIMIT %(limit)s
"""
_OF_ACCOUNT = "AND r.credit_account = %(account)s"

_RECORDED = "AND r.state = %(state)s"
_STILL_OPEN = "AND r.state = 'open' AND r.expires_at > %(now)s"


async def request(view: View, id: UUID, *, now: datetime) -> dict[str, Any] | None:
    """One payment request, as of `now`; None where the read model doesn't have it."""
    rows = await view.rows(_ONE, {"id": id, "at": view.position, "now": now})
    return _request(rows[0]) if rows else None


async def requests(
    view: View,
    *,
    now: datetime,
    credit_account: str | None = None,
    state: str | None = None,
    before: int = NEWEST,
    limit: int,
) -> Page:
    """Payment requests newest first as of `now`; the key of a page is a position, to be given as
    `before` for the next one."""
    page = _PAGE.replace("__FILTER__", "" if credit_account is None else _OF_ACCOUNT)
    rows = await view.rows(
        " UNION ALL ".join(f"({rows} {page})" for rows in _sources(state))
        + " ORDER BY created_position DESC LIMIT %(limit)s",
        {
            "at": view.position,
            "now": now,
            "account": credit_account,
            "state": state,
            "before": before,
            "limit": limit + 1,
        },
    )
    more = len(rows) > limit
    return Page(
        [_request(row) for row in rows[:limit]],
        (rows[limit - 1]["created_position"],) if more else None,
    )


def _sources(state: str | None) -> list[str]:
    """Where payment requests of a state are to be found, each by an index."""
    if state is None:
        return [_LATEST, _BEFORE]
    before = f"{_BEFORE} AND {_STATE.replace('{of}', 'b')} = %(state)s"
    match state:
        case "open":
            return [f"{_LATEST} {_STILL_OPEN}", before]
        case "expired":
            return [f"{_LATEST} {_RECORDED}", _DUE, before]
        case _:
            return [f"{_LATEST} {_RECORDED}", before]


def _request(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "state": row["state"],
        "revision": row["revision"],
        "credit_account": row["credit_account"],
        "amount": row["amount"],
        "currency": row["currency"],
        "reference": row["reference"],
        "description": row["description"],
        "metadata": row["metadata"],
        "expires_in_s": row["expires_in_s"],
        "expires_at": time_text(row["expires_at"]),
        "token_key": row["token_key"],
        "payment_id": row["payment"] and str(row["payment"]),
        "created_at": time_text(row["created_at"]),
        "position": row["position"],
    }
