"""Accounts as clients see them."""

from __future__ import annotations

from typing import Any, Final, get_args

from domain.events import Status
from domain.times import time_text
from projections.reading import Page, View
from projections.tables import BEYOND

_STATE = "version, position, overdraft_limit, max_balance, metadata, limits, status"

# The account's row, or, where that is beyond the position, what it was before (before.py).
_AT = f"""
SELECT a.account, a.currency, a.normal_side, a.opened_at, s.*
FROM tally_read.accounts{{g}} a
JOIN LATERAL (
    SELECT {", ".join(f"a.{name}" for name in _STATE.split(", "))} WHERE a.position <= %(at)s
    UNION ALL
    (SELECT {_STATE} FROM tally_read.accounts_before{{g}} b
     WHERE a.position > %(at)s AND b.account = a.account AND b.until > %(at)s
     ORDER BY b.until LIMIT 1)
) s ON true
"""

_ONE = f"{_AT} WHERE a.account = %(account)s AND a.opened_position <= %(at)s"

_FILTERS: Final = {
    "prefix": "AND a.account >= %(prefix)s AND a.account < %(prefix)s || %(beyond)s",
    "currency": "AND a.currency = %(currency)s",
}

# Not by a parameter: that a status is not `open` is what leads to the index of those that aren't.
_OF_STATUS: Final = {
    status: f"AND a.status = '{status}' AND s.status = '{status}'" for status in get_args(Status)
}

_LIST = f"""{_AT}
WHERE a.account > %(after)s AND a.opened_position <= %(at)s __FILTERS__
ORDER BY a.account LIMIT %(limit)s
"""


async def account(view: View, account: str) -> dict[str, Any] | None:
    """One account; None where the read model doesn't have it."""
    rows = await view.rows(_ONE, {"account": account, "at": view.position})
    return _account(rows[0]) if rows else None


async def accounts(
    view: View,
    *,
    prefix: str = "",
    status: Status | None = None,
    currency: str | None = None,
    after: str = "",
    limit: int,
) -> Page:
    """Accounts in order of id (by bytes); the key of a page is its last account."""
    given = {"prefix": prefix, "currency": currency}
    filters = [text for name, text in _FILTERS.items() if given[name]]
    if status:
        filters.append(_OF_STATUS[status])
    rows = await view.rows(
        _LIST.replace("__FILTERS__", " ".join(filters)),
        {**given, "beyond": BEYOND, "after": after, "at": view.position, "limit": limit + 1},
    )
    items = [_account(row) for row in rows[:limit]]
    return Page(items, (items[-1]["id"],) if len(rows) > limit else None)


def _account(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["account"],
        "currency": row["currency"],
        "normal_side": row["normal_side"],
        "overdraft_limit": row["overdraft_limit"],
        "max_balance": row["max_balance"],
        "metadata": row["metadata"],
        "status": row["status"],
        "version": row["version"],
        "limits": row["limits"],
        "opened_at": time_text(row["opened_at"]),
        "position": row["position"],
    }
