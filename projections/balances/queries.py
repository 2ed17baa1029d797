"""Balances as clients see them, now or as of any position before.

An account's row at a position is its current one where that is old enough, else the last one of
its history: one index probe each. Prefixes are ranges of bytes of the id's index.
"""

from __future__ import annotations

from typing import Any

from projections.reading import Page, View
from projections.tables import BEYOND

_AT = """
JOIN LATERAL (
    SELECT b.position, b.version, b.posted, b.pending_debit, b.pending_credit, b.available
    WHERE b.position <= %(at)s
    UNION ALL
    (SELECT h.position, h.version, h.posted, h.pending_debit, h.pending_credit, h.available
     FROM tally_read.balances_history{g} h
     WHERE b.position > %(at)s AND h.account = b.account AND h.position <= %(at)s
     ORDER BY h.position DESC LIMIT 1)
) s ON true
"""

_RANGE = """
b.account > %(after)s AND b.account >= %(prefix)s AND b.account < %(prefix)s || %(beyond)s
AND b.opened_position <= %(at)s
"""

_ONE = f"""
SELECT b.account, b.currency, b.normal_side, s.posted, s.pending_debit, s.pending_credit,
    s.available, s.version
FROM tally_read.balances{{g}} b LEFT {_AT}
WHERE b.account = %(account)s AND b.opened_position <= %(seen)s
"""

_LIST = f"""
SELECT b.account, b.currency, b.normal_side, s.posted, s.pending_debit, s.pending_credit,
    s.available, s.version
FROM tally_read.balances{{g}} b {_AT}
WHERE {_RANGE}
ORDER BY b.account LIMIT %(limit)s
"""

_TOTAL = f"""
SELECT b.currency, b.normal_side, sum(s.posted) AS posted,
    sum(s.pending_debit) AS pending_debit, sum(s.pending_credit) AS pending_credit,
    count(*) AS accounts
FROM tally_read.balances{{g}} b {_AT}
WHERE {_RANGE}
GROUP BY b.currency, b.normal_side ORDER BY b.currency, b.normal_side
"""

# What an account holds on the debit side, whatever its normal side; numeric, so that minus the
# least 64-bit balance has a place.
_DEBIT = "CASE b.normal_side WHEN 'debit' THEN s.posted::numeric ELSE -s.posted::numeric END"

_TRIAL = f"""
SELECT currency, sum(greatest(debit, 0)) AS total_debits, sum(greatest(-debit, 0)) AS total_credits
FROM (
    SELECT b.currency, {_DEBIT} AS debit FROM tally_read.balances{{g}} b {_AT}
    WHERE b.opened_position <= %(at)s
) held
GROUP BY currency ORDER BY currency
"""

_TRIAL_ACCOUNTS = f"""
SELECT b.account, b.currency, {_DEBIT} AS debit
FROM tally_read.balances{{g}} b {_AT}
WHERE {_RANGE}
ORDER BY b.account LIMIT %(limit)s
"""


async def balance(view: View, account: str, at: int | None = None) -> dict[str, Any] | None:
    """One account's balance as of a position (default: the view's); zeros before it was opened.

    None where the read model doesn't have the account.
    """
    position = view.position if at is None else at
    rows = await view.rows(_ONE, {"account": account, "at": position, "seen": view.position})
    return _balance(rows[0], position) if rows else None


async def balances(
    view: View, *, prefix: str = "", after: str = "", limit: int, at: int | None = None
) -> Page:
    """Balances in order of account id (by bytes); the key of a page is its last account."""
    position = view.position if at is None else at
    rows = await view.rows(_LIST, _range(position, prefix, after) | {"limit": limit + 1})
    return _page([_balance(row, position) for row in rows], limit)


async def totals(view: View, *, prefix: str = "", at: int | None = None) -> dict[str, Any]:
    """Sums by currency and normal side of all accounts whose id begins with the prefix."""
    position = view.position if at is None else at
    rows = await view.rows(_TOTAL, _range(position, prefix))
    sums = ("posted", "pending_debit", "pending_credit")
    return {
        "items": [row | {name: int(row[name]) for name in sums} for row in rows],
        "position": position,
    }


async def trial_balance(view: View, *, at: int | None = None) -> dict[str, Any]:
    """Sums of debit balances and of credit balances by currency: equal, or something is wrong."""
    position = view.position if at is None else at
    rows = await view.rows(_TRIAL, {"at": position})
    currencies = [
        {
            "currency": row["currency"],
            "total_debits": int(row["total_debits"]),
            "total_credits": int(row["total_credits"]),
        }
        for row in rows
    ]
    return {
        "position": position,
        "balanced": all(each["total_debits"] == each["total_credits"] for each in currencies),
        "currencies": currencies,
    }


async def trial_balance_accounts(
    view: View, *, after: str = "", limit: int, at: int | None = None
) -> Page:
    """What each account holds on its debit or on its credit side, in order of id (by bytes)."""
    position = view.position if at is None else at
    rows = await view.rows(_TRIAL_ACCOUNTS, _range(position, "", after) | {"limit": limit + 1})
    items = [
        {
            "account": row["account"],
            "currency": row["currency"],
            "debit": max(int(row["debit"]), 0),
            "credit": max(-int(row["debit"]), 0),
        }
        for row in rows
    ]
    return _page(items, limit)


def _range(at: int, prefix: str, after: str = "") -> dict[str, Any]:
    return {"at": at, "prefix": prefix, "after": after, "beyond": BEYOND}


def _page(items: list[dict[str, Any]], limit: int) -> Page:
    if len(items) <= limit:
        return Page(items, None)
    return Page(items[:limit], (items[limit - 1]["account"],))


def _balance(row: dict[str, Any], position: int) -> dict[str, Any]:
    opened = row["version"] is not None
    available = row["available"] if opened else 0
    return {
        "account": row["account"],
        "currency": row["currency"],
        "normal_side": row["normal_side"],
        "posted": row["posted"] or 0,
        "pending_debit": row["pending_debit"] or 0,
        "pending_credit": row["pending_credit"] or 0,
        "available": None if available is None else int(available),
        "version": row["version"] or 0,
        "position": position,
    }
