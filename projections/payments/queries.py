"""Payments as clients see them, one by one and listed newest first.

A read is at the watermark and at a time, which is never before the watermark's own: a hold that
is past its deadline then is shown as what it is, whether that has been recorded or not.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from domain.times import time_text
from projections.reading import NEWEST, Page, View

# The state, by the row of the payment (p) and of what changes of it (the alias in braces).
_STATE = """
CASE WHEN {of}.state IN ('held', 'pending_confirmation') AND p.expires_at <= %(now)s
    -- Anything captured: the JSON has a digit that is no zero.
    THEN CASE WHEN {of}.captured::text ~ '[1-9]' THEN 'settled' ELSE 'expired' END
    ELSE {of}.state
END
"""

_COLUMNS = """
p.created_position, p.id, p.mode, p.carrier, p.reference, p.created_at, p.metadata, p.expires_at,
p.refund_of, p.payment_request, {of}.position, {of}.value_date, {of}.postings,
{of}.captured, {of}.refunded, {of}.refusal, __STATE__ AS state
""".replace("__STATE__", _STATE)

# What each payment is at the watermark: its row, or, where that is beyond it, what it was before
# (before.py).
_LATEST = (
    f"SELECT {_COLUMNS.replace('{of}', 'p')} FROM tally_read.payments{{g}} p __OF_ACCOUNT__"
    " WHERE p.position <= %(at)s"
)
# These are few, and lead to what they are joined with: OFFSET keeps the planner from the way round.
_DUE = (
    f"SELECT {_COLUMNS.replace('{of}', 'p')} FROM"
    " (SELECT * FROM tally_read.payments{g} WHERE state IN ('held', 'pending_confirmation')"
    " AND expires_at <= %(now)s OFFSET 0) p"
    f" __FEW_OF_ACCOUNT__ WHERE p.position <= %(at)s AND {_STATE.replace('{of}', 'p')} = %(state)s"
)
_BEFORE = (
    f"SELECT {_COLUMNS.replace('{of}', 'b')} FROM tally_read.payments_before{{g}} b"
    " CROSS JOIN LATERAL (SELECT * FROM tally_read.payments{g} WHERE id = b.id OFFSET 0) p"
    " __FEW_OF_ACCOUNT__ WHERE b.position <= %(at)s AND b.until > %(at)s"
)

_OF_ACCOUNT = "a.created_position = p.created_position AND a.account = %(account)s"
_JOINED = {
    "__OF_ACCOUNT__": f"JOIN tally_read.payments_accounts{{g}} a ON {_OF_ACCOUNT}",
    "__FEW_OF_ACCOUNT__": "CROSS JOIN LATERAL ("
    f"SELECT * FROM tally_read.payments_accounts{{g}} a WHERE {_OF_ACCOUNT} OFFSET 0) a",
}


def _joined(query: str, *, of_account: bool) -> str:
    """The query with what it takes to find an account's payments alone, or without."""
    for name, join in _JOINED.items():
        query = query.replace(name, join if of_account else "")
    return query


_ONE = _joined(
    " UNION ALL ".join(
        f"{rows} AND {of}.id = %(id)s" for rows, of in ((_LATEST, "p"), (_BEFORE, "b"))
    ),
    of_account=False,
)

_PAGE = """
AND {list}.created_position < %(before)s __FILTERS__
ORDER BY {list}.created_position DESC LIMIT %(limit)s
"""

_FILTERS: Final = {
    "reference": "AND p.reference = %(reference)s",
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

_RECORDED = "AND p.state = %(state)s"
_STILL_HELD = f"{_RECORDED} AND p.expires_at > %(now)s"


async def payment(view: View, id: UUID, *, now: datetime) -> dict[str, Any] | None:
    """One payment, as of `now`; None where the read model doesn't have it."""
    rows = await view.rows(_ONE, {"id": id, "at": view.position, "now": now})
    return _payment(rows[0]) if rows else None


async def payments(
    view: View,
    *,
    now: datetime,
    account: str | None = None,
    reference: str | None = None,
    state: str | None = None,
    carrier: str | None = None,
    created_from: datetime | None = None,
    created_to: datetime | None = None,
    before: int = NEWEST,
    limit: int,
) -> Page:
    """Payments newest first as of `now`, `created_to` exclusive; the key of a page is a position,
    to be given as `before` for the next one."""
    given = {
        "reference": reference,
        "carrier": carrier,
        "created_from": created_from,
        "created_to": created_to,
    }
    filters = " ".join(text for name, text in _FILTERS.items() if given[name] is not None)
    page = _PAGE.replace("__FILTERS__", filters)
    query = (
        " UNION ALL ".join(f"({rows} {page})" for rows in _sources(state))
        + " ORDER BY created_position DESC LIMIT %(limit)s"
    )
    rows = await view.rows(
        _joined(query, of_account=account is not None).replace(
            "{list}", "p" if account is None else "a"
        ),
        {
            **given,
            "at": view.position,
            "now": now,
            "account": account,
            "state": state,
            "before": before,
            "limit": limit + 1,
        },
    )
    more = len(rows) > limit
    return Page(
        [_payment(row) for row in rows[:limit]],
        (rows[limit - 1]["created_position"],) if more else None,
    )


def _sources(state: str | None) -> list[str]:
    """Where payments of a state are to be found, each by an index."""
    if state is None:
        return [_LATEST, _BEFORE]
    before = f"{_BEFORE} AND {_STATE.replace('{of}', 'b')} = %(state)s"
    match state:
        case "held" | "pending_confirmation":
            return [f"{_LATEST} {_STILL_HELD}", before]
        case "settled" | "expired":
            return [f"{_LATEST} {_RECORDED}", _DUE, before]
        case _:
            return [f"{_LATEST} {_RECORDED}", before]


def _payment(row: dict[str, Any]) -> dict[str, Any]:
    deadline = row["expires_at"] and time_text(row["expires_at"])
    answer = {
        "id": str(row["id"]),
        "state": row["state"],
        "mode": row["mode"],
        "postings": [
            {
                "debit": debit or None,
                "credit": credit,
                "amount": amount_minor,
                "currency": currency,
                "captured": captured,
                "refunded": refunded,
            }
            for (debit, credit, amount_minor, currency), captured, refunded in zip(
                row["postings"], row["captured"], row["refunded"], strict=True
            )
        ],
        "reference": row["reference"],
        "carrier": row["carrier"],
        "value_date": row["value_date"].isoformat(),
        "metadata": row["metadata"],
        "created_at": time_text(row["created_at"]),
        "hold_expires_at": deadline if row["mode"] == "hold" else None,
        "confirm_expires_at": None if row["mode"] == "hold" else deadline,
        "refund_of": row["refund_of"] and str(row["refund_of"]),
        "payment_request": row["payment_request"] and str(row["payment_request"]),
        "position": row["position"],
    }
    return answer if row["refusal"] is None else answer | {"refusal": row["refusal"]}
