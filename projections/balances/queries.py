"""Balances as clients see them, now or as of any position before.

An account's row at a position is its current one where that is old enough, else the last one of
its history: one index probe each. Prefixes are ranges of bytes of the id's index.

A read is of a position and a time. What the row tells of holds is as of its last event, so what
was left of those whose deadline has come since, up to that time, is taken off.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from domain.times import time_text
from projections.reading import Page, View
from projections.tables import BEYOND

_AT = """
JOIN LATERAL (
    SELECT b.position, b.version, b.posted, b.pending_debit, b.pending_credit, b.available,
        b.balanced_at
    WHERE b.position <= %(at)s
    UNION ALL
    (SELECT h.position, h.version, h.posted, h.pending_debit, h.pending_credit, h.available,
        h.balanced_at
     FROM tally_read.balances_history{g} h
     WHERE b.position > %(at)s AND h.account = b.account AND h.position <= %(at)s
     ORDER BY h.position DESC LIMIT 1)
) s ON true
"""

# A hold's last history row at the position, where its own row is beyond.
_LEFT = """
CASE WHEN h.position <= %(at)s THEN h."left" ELSE (
    SELECT c."left" FROM tally_read.balances_holds_history{g} c
    WHERE c.account = h.account AND c.opened_position = h.opened_position
    AND c.position <= %(at)s
    ORDER BY c.position DESC LIMIT 1
) END
"""

_OVER = """
(s.pending_debit > 0 OR s.pending_credit > 0)
AND h.account = b.account AND h.opened_position <= %(at)s
AND h.expires_at > s.balanced_at AND h.expires_at <= %(time)s
"""

# What is still in the account's row of holds whose deadline has come since it was told. First
# those that their deadline ended, recorded or not; an account with none pending is not looked at.
# The others ended in time, but beyond what this read sees. As of a position in the past there
# are none such: what is recorded later is recorded after their deadline.
_EXPIRED = f"""
CROSS JOIN LATERAL (
    SELECT coalesce(sum(o."left") FILTER (WHERE o.side = 'debit'), 0)::bigint AS debit,
        coalesce(sum(o."left") FILTER (WHERE o.side = 'credit'), 0)::bigint AS credit
    FROM (
        SELECT h.side, {_LEFT} AS "left" FROM tally_read.balances_holds{{g}} h
        WHERE (h."left" > 0 OR h.expired) AND {_OVER}
        UNION ALL
        SELECT h.side, {_LEFT} FROM tally_read.balances_holds{{g}} h
        WHERE h."left" = 0 AND NOT h.expired AND h.position > %(unseen)s AND {_OVER}
    ) o
) x
"""

_BALANCE = """
b.account, b.currency, b.normal_side, s.version, s.posted,
s.pending_debit - x.debit AS pending_debit, s.pending_credit - x.credit AS pending_credit,
s.available + CASE b.normal_side WHEN 'credit' THEN x.debit ELSE x.credit END AS available
"""

_RANGE = """
b.account > %(after)s AND b.account >= %(prefix)s AND b.account < %(prefix)s || %(beyond)s
AND b.opened_position <= %(at)s
"""

_ONE = f"""
SELECT {_BALANCE} FROM tally_read.balances{{g}} b LEFT {_AT} {_EXPIRED}
WHERE b.account = %(account)s AND b.opened_position <= %(seen)s
"""

_LIST = f"""
SELECT {_BALANCE} FROM tally_read.balances{{g}} b {_AT} {_EXPIRED}
WHERE {_RANGE}
ORDER BY b.account LIMIT %(limit)s
"""

_TOTAL = f"""
SELECT b.currency, b.normal_side, sum(s.posted) AS posted,
    sum(s.pending_debit - x.debit) AS pending_debit,
    sum(s.pending_credit - x.credit) AS pending_credit, count(*) AS accounts
FROM tally_read.balances{{g}} b {_AT} {_EXPIRED}
WHERE {_RANGE}
GROUP BY b.currency, b.normal_side ORDER BY b.currency, b.normal_side
"""

_HAS = """
SELECT 1 FROM tally_read.balances{g} WHERE account = %(account)s AND opened_position <= %(at)s
"""

_OPEN = """
h.account = %(account)s AND h.opened_position > %(after)s AND h.opened_position <= %(at)s
AND h.expires_at > %(time)s
"""

# Those that are open, and those that have ended since the position.
_HOLDS = f"""
SELECT o.payment, o.side, o.amount, s.captured, o.currency, o.counter_account, o.expires_at,
    o.opened_position
FROM (
    (SELECT * FROM tally_read.balances_holds{{g}} h WHERE h."left" > 0 AND {_OPEN}
     ORDER BY h.opened_position LIMIT %(limit)s)
    UNION ALL
    SELECT * FROM tally_read.balances_holds{{g}} h
    WHERE h."left" = 0 AND h.position > %(at)s AND {_OPEN}
) o
JOIN LATERAL (
    SELECT o.captured WHERE o.position <= %(at)s
    UNION ALL
    (SELECT c.captured FROM tally_read.balances_holds_history{{g}} c
     WHERE o.position > %(at)s AND c.account = o.account
     AND c.opened_position = o.opened_position AND c.position <= %(at)s
     ORDER BY c.position DESC LIMIT 1)
) s ON true
ORDER BY o.opened_position LIMIT %(limit)s
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


async def balance(
    view: View, account: str, *, time: datetime, at: int | None = None
) -> dict[str, Any] | None:
    """One account's balance as of a position (default: the view's) and a time, from that of the
    position on; zeros before it was opened.

    None where the read model doesn't have the account.
    """
    position = view.position if at is None else at
    rows = await view.rows(
        _ONE,
        {
            "account": account,
            "at": position,
            "time": time,
            "unseen": view.position,
            "seen": view.position,
        },
    )
    return _balance(rows[0], position) if rows else None


async def balances(
    view: View,
    *,
    time: datetime,
    prefix: str = "",
    after: str = "",
    limit: int,
    at: int | None = None,
) -> Page:
    """Balances in order of account id (by bytes); the key of a page is its last account."""
    position = view.position if at is None else at
    rows = await view.rows(
        _LIST,
        _range(position, prefix, after)
        | {"time": time, "unseen": view.position, "limit": limit + 1},
    )
    return _page([_balance(row, position) for row in rows], limit)


async def totals(
    view: View, *, time: datetime, prefix: str = "", at: int | None = None
) -> dict[str, Any]:
    """Sums by currency and normal side of all accounts whose id begins with the prefix."""
    position = view.position if at is None else at
    rows = await view.rows(_TOTAL, _range(position, prefix) | {"time": time, "unseen": position})
    sums = ("posted", "pending_debit", "pending_credit")
    return {
        "items": [row | {name: int(row[name]) for name in sums} for row in rows],
        "position": position,
    }


async def holds(
    view: View, account: str, *, time: datetime, after: int = 0, limit: int
) -> Page | None:
    """The account's open holds in the order they were held; the key of a page is a position.

    None where the read model doesn't have the account.
    """
    given = {"account": account, "at": view.position}
    if not await view.rows(_HAS, given):
        return None
    rows = await view.rows(_HOLDS, given | {"time": time, "after": after, "limit": limit + 1})
    items = [
        {
            "payment_id": str(row["payment"]),
            "side": row["side"],
            "amount": row["amount"],
            "captured": row["captured"],
            "currency": row["currency"],
            "counter_account": row["counter_account"],
            "expires_at": time_text(row["expires_at"]),
        }
        for row in rows[:limit]
    ]
    return Page(items, (rows[limit - 1]["opened_position"],) if len(rows) > limit else None)


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
