"""Accounts as clients see them."""

from __future__ import annotations

from typing import Any, Final

from domain.times import time_text
from projections.reading import Page, View
from projections.tables import BEYOND

_COLUMNS = """account, currency, normal_side, overdraft_limit, max_balance, metadata, status,
    version, opened_at, position"""

_ONE = f"SELECT {_COLUMNS} FROM tally_read.accounts{{g}} WHERE account = %(account)s"

_FILTERS: Final = {
    "prefix": "AND account >= %(prefix)s AND account < %(prefix)s || %(beyond)s",
    "status": "AND status = %(status)s",
    "currency": "AND currency = %(currency)s",
}

_LIST = f"""
SELECT {_COLUMNS} FROM tally_read.accounts{{g}}
WHERE account > %(after)s AND opened_position <= %(at)s __FILTERS__
ORDER BY account LIMIT %(limit)s
"""


async def account(view: View, account: str) -> dict[str, Any] | None:
    """One account; None where the read model doesn't have it."""
    rows = await view.rows(_ONE, {"account": account})
    return _account(rows[0]) if rows else None


async def accounts(
    view: View,
    *,
    prefix: str = "",
    status: str | None = None,
    currency: str | None = None,
    after: str = "",
    limit: int,
) -> Page:
    """Accounts in order of id (by bytes); the key of a page is its last account."""
    given = {"prefix": prefix, "status": status, "currency": currency}
    filters = " ".join(text for name, text in _FILTERS.items() if given[name])
    rows = await view.rows(
        _LIST.replace("__FILTERS__", filters),
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
        "limits": [],
        "opened_at": time_text(row["opened_at"]),
        "position": row["position"],
    }
