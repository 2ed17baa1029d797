"""Statements as clients see them, every figure from an index.

A period of booking dates is a range of positions, since recorded times are monotone in position:
its sums are those up to its last entry less those up to the last entry before it. By value date,
entries that count for the day they are booked on are such a range as well; the others ("off") are
summed day by day, from the last row of each day that is at or before the position read at.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Literal, NamedTuple

from domain.times import time_text
from projections.arrays import numbers, texts
from projections.reading import View
from projections.statements.fold import Sums

By = Literal["booking_date", "value_date"]
Keys = tuple[Any, ...]
"""Where a page ends: (position,), or (value date, position) by value date."""

# With the first position booked on each day or after it; NULL where there is none.
_ACCOUNT = """
SELECT a.currency, a.normal_side, ARRAY(
    SELECT (
        SELECT d.first_position FROM tally_read.statements_days{g} d
        WHERE d.booking_date >= wanted.day ORDER BY d.booking_date LIMIT 1
    )
    FROM unnest(%(days)s::date[]) WITH ORDINALITY AS wanted (day, number)
    ORDER BY wanted.number
) AS positions
FROM tally_read.statements_accounts{g} a
WHERE a.account = %(account)s AND a.opened_position <= %(seen)s
"""

_SUMS_AT = """
SELECT e.debits, e.credits, e.off_debits, e.off_credits
FROM unnest(%(positions)s::bigint[]) WITH ORDINALITY AS wanted (position, number)
LEFT JOIN LATERAL (
    SELECT e.debits, e.credits, e.off_debits, e.off_credits
    FROM tally_read.statements{g} e
    WHERE e.account = %(account)s AND e.position <= wanted.position
    ORDER BY e.position DESC LIMIT 1
) e ON true
ORDER BY wanted.number
"""

# Of each day with off entries, the last row that is old enough. A probe for each day of the
# calendar between the account's first one and the last one asked for: a row a day at the most.
_OFF_BEFORE = """
WITH sums AS (
    SELECT day::date AS value_date, last.debits, last.credits
    FROM generate_series(
        (SELECT o.value_date FROM tally_read.statements_off_days{g} o
         WHERE o.account = %(account)s ORDER BY o.value_date, o.position LIMIT 1),
        least(
            (SELECT max(day) - 1 FROM unnest(%(days)s::date[]) AS day),
            (SELECT o.value_date FROM tally_read.statements_off_days{g} o
             WHERE o.account = %(account)s ORDER BY o.value_date DESC, o.position DESC LIMIT 1)),
        interval '1 day') AS day
    CROSS JOIN LATERAL (
        SELECT o.debits, o.credits FROM tally_read.statements_off_days{g} o
        WHERE o.account = %(account)s AND o.value_date = day::date AND o.position <= %(at)s
        ORDER BY o.position DESC LIMIT 1
    ) last
)
SELECT coalesce(sum(sums.debits), 0) AS debits, coalesce(sum(sums.credits), 0) AS credits
FROM unnest(%(days)s::date[]) WITH ORDINALITY AS wanted (day, number)
LEFT JOIN sums ON sums.value_date < wanted.day
GROUP BY wanted.number ORDER BY wanted.number
"""

_OFF_OF_DAY = """
SELECT o.debits, o.credits FROM tally_read.statements_off_days{g} o
WHERE o.account = %(account)s AND o.value_date = %(day)s AND o.position <= %(position)s
ORDER BY o.position DESC LIMIT 1
"""

_COLUMNS = """e.position, e.recorded_at, e.value_date, e.payment, e.side, e.amount, e.balance,
    e.counter_account, e.reference"""

_PAGE = f"""
SELECT {_COLUMNS} FROM tally_read.statements{{g}} e
WHERE e.account = %(account)s AND e.position > %(after)s AND e.position <= %(last)s
ORDER BY e.position LIMIT %(limit)s
"""

# Day by day, so that entries recorded after the position read at are never walked over. A sort
# over it would fetch all days: a nested loop keeps the order of its outer side, and stops early.
# The days are compared with the position as rows, so that no other index looks good enough.
_PAGE_BY_VALUE_DATE = f"""
SELECT page.* FROM generate_series(
    greatest(%(first)s::date, (SELECT e.value_date FROM tally_read.statements{{g}} e
        WHERE e.account = %(account)s ORDER BY e.value_date, e.position LIMIT 1)),
    least(%(to)s::date - 1, (SELECT e.value_date FROM tally_read.statements{{g}} e
        WHERE e.account = %(account)s ORDER BY e.value_date DESC, e.position DESC LIMIT 1)),
    interval '1 day') AS day
CROSS JOIN LATERAL (
    SELECT {_COLUMNS} FROM tally_read.statements{{g}} e
    WHERE e.account = %(account)s AND (e.value_date, e.position) <= (day::date, %(at)s)
      AND (e.value_date, e.position)
        > (day::date, CASE WHEN day::date = %(first)s THEN %(after)s ELSE 0 END)
    ORDER BY e.value_date, e.position LIMIT %(limit)s
) page
LIMIT %(limit)s
"""


class Statement(NamedTuple):
    body: dict[str, Any]
    """As clients see it, but for `next_cursor`."""
    next: Keys | None


class _Account(NamedTuple):
    """It, and the positions that the days asked for begin at: `at` + 1 where that is beyond."""

    currency: str
    normal_side: str
    first_positions: list[int]


class _Period(NamedTuple):
    """What the whole period comes to, and the balance that the page goes on from."""

    opening: Sums
    closing: Sums
    before_page: Sums


async def statement(
    view: View,
    account: str,
    *,
    from_: date,
    to: date,
    by: By = "booking_date",
    after: Keys | None = None,
    at: int | None = None,
    limit: int,
) -> Statement | None:
    """One page of an account's statement over [from_, to); None for an account not there.

    `at` is the position of the first page, `after` the keys that the page before ended with.
    """
    position = view.position if at is None else at
    to = max(from_, to)
    days = [from_, to]
    if by == "value_date":
        page_from = from_ if after is None else after[0]
        days += [page_from, _day_after(page_from)]
    found = await _account(view, account, days, position)
    if found is None:
        return None
    currency, side, firsts = found
    if by == "booking_date":
        period, entries = await _by_booking_date(view, account, firsts, after, limit)
    else:
        period, entries = await _by_value_date(
            view, account, from_, to, firsts, after, position, limit
        )
        running = period.before_page
        for entry in entries:
            running = running.plus(entry["amount"], debit=entry["side"] == "debit")
            entry["balance"] = _balance(running, side)
    page, more = entries[:limit], len(entries) > limit
    body = {
        "account": account,
        "currency": currency,
        "from": from_.isoformat(),
        "to": to.isoformat(),
        "by": by,
        "opening_balance": _balance(period.opening, side),
        "entries": [_entry(row) for row in page],
        "closing_balance": _balance(period.closing, side),
        "total_debits": period.closing.debits - period.opening.debits,
        "total_credits": period.closing.credits - period.opening.credits,
        "position": position,
    }
    return Statement(body, _keys(page[-1], by) if more else None)


async def posted_by_value_date(
    view: View, account: str, effective_at: date, at: int | None = None
) -> int | None:
    """What is posted with a value date up to that day (inclusive), in minor units, as of a
    position; None for an account not there."""
    position = view.position if at is None else at
    before = _day_after(effective_at)
    found = await _account(view, account, [before], position)
    if found is None:
        return None
    (end,) = found.first_positions
    (booked,) = await _on_day_sums(view, account, [end - 1])
    (off,) = await _off_sums(view, account, [before], position)
    return _balance(_add(booked, off), found.normal_side)


async def _by_booking_date(
    view: View,
    account: str,
    first_positions: Sequence[int],
    after: Keys | None,
    limit: int,
) -> tuple[_Period, list[dict[str, Any]]]:
    first, end = first_positions
    sums = await _sums_at(view, account, [first - 1, end - 1])
    opening, closing = (all_ for all_, _ in sums)
    rows = await view.rows(
        _PAGE,
        {
            "account": account,
            "after": first - 1 if after is None else max(after[0], first - 1),
            "last": end - 1,
            "limit": limit + 1,
        },
    )
    return _Period(opening, closing, opening), rows


async def _by_value_date(
    view: View,
    account: str,
    from_: date,
    to: date,
    first_positions: Sequence[int],
    after: Keys | None,
    at: int,
    limit: int,
) -> tuple[_Period, list[dict[str, Any]]]:
    day, position = (from_, 0) if after is None else after
    first, end, day_first, day_end = first_positions
    on_day = await _on_day_sums(
        view,
        account,
        [
            *(first - 1, end - 1, day_first - 1),
            *(min(position, day_end - 1), min(position, day_first - 1)),
        ],
    )
    off = await _off_sums(view, account, [from_, to, day], at)
    before_page = _add(on_day[2], off[2])
    if after is not None:
        of_day = await view.rows(
            _OFF_OF_DAY, {"account": account, "day": day, "position": position}
        )
        before_page = _add(before_page, on_day[3], _negative(on_day[4]), *map(_sums, of_day))
    rows = await view.rows(
        _PAGE_BY_VALUE_DATE,
        {
            "account": account,
            "first": day,
            "after": position,
            "to": to,
            "at": at,
            "limit": limit + 1,
        },
    )
    return _Period(_add(on_day[0], off[0]), _add(on_day[1], off[1]), before_page), rows


async def _account(view: View, account: str, days: Sequence[date], at: int) -> _Account | None:
    rows = await view.rows(
        _ACCOUNT, {"account": account, "seen": view.position, "days": texts(map(str, days))}
    )
    if not rows:
        return None
    row = rows[0]
    firsts = [at + 1 if first is None else min(first, at + 1) for first in row["positions"]]
    return _Account(row["currency"], row["normal_side"], firsts)


async def _sums_at(view: View, account: str, positions: Sequence[int]) -> list[tuple[Sums, Sums]]:
    """Of each position: the sums of all entries up to it, and of the off ones among them."""
    rows = await view.rows(_SUMS_AT, {"account": account, "positions": numbers(positions)})
    return [
        (
            Sums(int(row["debits"] or 0), int(row["credits"] or 0)),
            Sums(int(row["off_debits"] or 0), int(row["off_credits"] or 0)),
        )
        for row in rows
    ]


async def _on_day_sums(view: View, account: str, positions: Sequence[int]) -> list[Sums]:
    """Sums up to each position of the entries that count for the day they are booked on."""
    sums = await _sums_at(view, account, positions)
    return [_add(all_, _negative(off)) for all_, off in sums]


async def _off_sums(view: View, account: str, days: Sequence[date], at: int) -> list[Sums]:
    """Sums of the off entries with a value date before each day."""
    rows = await view.rows(
        _OFF_BEFORE, {"account": account, "days": texts(map(str, days)), "at": at}
    )
    return [_sums(row) for row in rows]


def _day_after(day: date) -> date:
    """Nothing is ever valued on the last day of the calendar: it has no day after it."""
    return day if day == date.max else day + timedelta(days=1)


def _sums(row: dict[str, Any]) -> Sums:
    return Sums(int(row["debits"]), int(row["credits"]))


def _add(*sums: Sums) -> Sums:
    return Sums(sum(each.debits for each in sums), sum(each.credits for each in sums))


def _negative(sums: Sums) -> Sums:
    return Sums(-sums.debits, -sums.credits)


def _balance(sums: Sums, normal_side: str) -> int:
    balance = sums.credits - sums.debits
    return balance if normal_side == "credit" else -balance


def _keys(row: dict[str, Any], by: By) -> Keys:
    return (row["position"],) if by == "booking_date" else (row["value_date"], row["position"])


def _entry(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "position": row["position"],
        "recorded_at": time_text(row["recorded_at"]),
        "booking_date": row["recorded_at"].date().isoformat(),
        "value_date": row["value_date"].isoformat(),
        "payment_id": str(row["payment"]),
        "side": row["side"],
        "amount": row["amount"],
        "balance": row["balance"],
        "counter_accounts": [row["counter_account"]],
        "reference": row["reference"],
    }
