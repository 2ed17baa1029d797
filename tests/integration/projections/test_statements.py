"""The laws of statements, against sums made by hand from the events."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.events import AccountDebited, AccountEntry
from projections.reading import Reader, View
from projections.statements.export import COLUMNS, csv_statement
from projections.statements.queries import (
    By,
    Keys,
    Statement,
    posted_by_value_date,
    statement,
)
from tests.fixtures.fix_events import START, History
from tests.fixtures.fix_postgres import Cluster, Store
from tests.fixtures.fix_projections import Counting, catch_up, read_pool, reading, viewing

DAYS = [START.date() + timedelta(days=number) for number in range(-3, 8)]

steps = st.lists(
    st.tuples(
        st.sampled_from([("alice", "bob"), ("bob", "alice"), ("alice", "cash"), ("cash", "bob")]),
        st.integers(1, 1000),
        st.sampled_from([None, None, *DAYS]),
        st.sampled_from([0, 0, 5, 24]),
    ),
    max_size=25,
)
periods = st.tuples(st.sampled_from(DAYS), st.sampled_from(DAYS)).map(sorted)


def made(payments: Iterable[tuple[tuple[str, str], int, date | None, int]]) -> History:
    history = History().open("alice", "bob").open("cash", normal_side="debit")
    for (debit, credit), amount_minor, value_date, hours in payments:
        history.later(hours=hours)
        history.pay((debit, credit, amount_minor), value_date=value_date)
    return history


def entries_of(history: History, account: str, at: int) -> list[tuple[int, AccountEntry]]:
    return [
        (position, event)
        for position, event in enumerate(history.events[:at], 1)
        if isinstance(event, AccountEntry) and event.account == account
    ]


def day_of(event: AccountEntry, by: By) -> date:
    return event.timestamp.date() if by == "booking_date" else event.value_date


def effect(event: AccountEntry) -> int:
    raises = isinstance(event, AccountDebited) == (event.account == "cash")
    return event.amount_minor if raises else -event.amount_minor


async def pages(
    view: View, account: str, from_: date, to: date, by: By, at: int, limit: int
) -> list[dict[str, Any]]:
    bodies = []
    after: Keys | None = None
    while True:
        page = await statement(
            view, account, from_=from_, to=to, by=by, after=after, at=at, limit=limit
        )
        assert page is not None
        bodies.append(page.body)
        if page.next is None:
            return bodies
        assert len(page.body["entries"]) == limit
        after = page.next


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    payments=steps,
    period=periods,
    later=st.sampled_from(DAYS),
    by=st.sampled_from(["booking_date", "value_date"]),
    limit=st.integers(1, 7),
    back=st.integers(0, 30),
)
def test_statements_keep_their_laws(
    cluster: Cluster,
    payments: list[Any],
    period: list[date],
    later: date,
    by: By,
    limit: int,
    back: int,
) -> None:
    """As of any position: sums by hand, pages equal the whole, touching periods fit."""
    history = made(payments)
    at = max(6, history.end - back)
    from_, to = period
    with cluster.store() as store:
        history.store(store.app_dsn)
        catch_up(store.app_dsn, ["statements"], batch=10)

        async def look(view: View) -> None:
            for account in ("alice", "cash"):
                bodies = await pages(view, account, from_, to, by, at, limit)
                (whole,) = await pages(view, account, from_, to, by, at, 500)
                (after,) = await pages(view, account, to, max(to, later), by, at, 500)
                held = entries_of(history, account, at)
                inside = sorted(
                    (day_of(event, by), position, event)
                    for position, event in held
                    if from_ <= day_of(event, by) < to
                )
                opening = sum(effect(event) for _, event in held if day_of(event, by) < from_)
                balance = opening
                assert whole["opening_balance"] == opening
                for entry, (_, position, event) in zip(whole["entries"], inside, strict=True):
                    balance += effect(event)
                    assert (entry["position"], entry["balance"]) == (position, balance)
                assert whole["closing_balance"] == balance == after["opening_balance"]
                assert whole["total_debits"] == sum(
                    event.amount_minor for *_, event in inside if isinstance(event, AccountDebited)
                )
                assert whole["total_debits"] + whole["total_credits"] == sum(
                    event.amount_minor for *_, event in inside
                )
                assert [entry for body in bodies for entry in body["entries"]] == whole["entries"]
                for body in bodies:
                    assert {**body, "entries": []} == {**whole, "entries": []}
                assert await posted_by_value_date(view, account, to, at) == sum(
                    effect(event) for _, event in held if event.value_date <= to
                )

        viewing(store.app_dsn, "statements", look)


def test_an_entry_is_shown_as_the_contract_has_it(fresh_store: Store) -> None:
    history = History().open("alice", "bob")
    payment = history.pay(
        ("alice", "bob", 1050), reference="order-17", value_date=date(2026, 11, 20)
    )
    history.store(fresh_store.app_dsn)
    catch_up(fresh_store.app_dsn, ["statements"])

    async def look(view: View) -> Statement | None:
        return await statement(
            view, "alice", from_=date(2026, 11, 1), to=date(2026, 12, 1), limit=50
        )

    found = viewing(fresh_store.app_dsn, "statements", look)
    assert found is not None
    assert found.body == {
        "account": "alice",
        "currency": "EUR",
        "from": "2026-11-01",
        "to": "2026-12-01",
        "by": "booking_date",
        "opening_balance": 0,
        "entries": [
            {
                "position": 6,
                "recorded_at": "2026-11-23T09:00:00.000000Z",
                "booking_date": "2026-11-23",
                "value_date": "2026-11-20",
                "payment_id": str(payment),
                "side": "debit",
                "amount": 1050,
                "balance": -1050,
                "counter_accounts": ["bob"],
                "reference": "order-17",
            }
        ],
        "closing_balance": -1050,
        "total_debits": 1050,
        "total_credits": 0,
        "position": 7,
    }


def test_a_csv_statement_is_the_whole_period_at_one_position(fresh_store: Store) -> None:
    history = History().open("alice", "bob")
    for number in range(600):
        history.pay(("alice", "bob", 5), reference=f'a "quoted", {number}')
    at = history.end
    history.pay(("alice", "bob", 5))
    history.store(fresh_store.app_dsn)
    catch_up(fresh_store.app_dsn, ["statements"])

    async def export(reader: Reader) -> str:
        pieces = csv_statement(
            reader,
            "alice",
            from_=date(2026, 11, 1),
            to=date(2026, 12, 1),
            by="booking_date",
            at=at,
        )
        return "".join([piece async for piece in pieces])

    rows = list(csv.DictReader(io.StringIO(reading(fresh_store.app_dsn, export))))
    assert len(rows) == 600
    assert tuple(rows[0]) == COLUMNS
    assert rows[599]["reference"] == 'a "quoted", 599'
    assert (rows[0]["amount"], rows[0]["amount_decimal"], rows[0]["currency"]) == (
        *("5", "0.05"),
        "EUR",
    )
    assert rows[599]["balance"] == "-3000"


def test_an_account_without_entries_has_an_empty_statement_and_an_unknown_one_none(
    fresh_store: Store,
) -> None:
    History().open("alice").store(fresh_store.app_dsn)
    catch_up(fresh_store.app_dsn, ["statements"])

    async def look(view: View) -> tuple[Any, ...]:
        period: dict[str, Any] = {"from_": date.min, "to": date.max, "limit": 1}
        return (
            await statement(view, "alice", by="booking_date", **period),
            await statement(view, "alice", by="value_date", **period),
            await statement(view, "nobody", **period),
            await posted_by_value_date(view, "alice", date.max),
            await posted_by_value_date(view, "nobody", date.max),
        )

    booked, valued, *others = viewing(fresh_store.app_dsn, "statements", look)
    assert (booked.body["entries"], booked.body["closing_balance"], booked.next) == ([], 0, None)
    assert valued.body["entries"] == []
    assert others == [None, 0, None]


@pytest.mark.parametrize("by", ["booking_date", "value_date"])
def test_any_page_touches_a_page_of_rows_and_a_thousand_more(
    fresh_store: Store, by: By, figure: Any
) -> None:
    """Also of a hot account, at an old position, with entries of 300 other days."""
    history = History().open("hot", "bob")
    for number in range(4000):
        if number % 400 == 399:
            history.later(days=1)
        other = history.now.date() + timedelta(days=number % 300 - 150)
        history.pay(("hot", "bob", 1), value_date=other if number % 3 == 0 else None)
    history.store(fresh_store.app_dsn)
    catch_up(fresh_store.app_dsn, ["statements"], batch=10_000)
    limit = 50
    first, last = date(2026, 6, 1), date(2027, 6, 1)
    middle = date(2026, 11, 27)

    async def look(view: View) -> int:
        most = 0
        for at in (history.end, history.end // 2):
            for after in (None, (1500,) if by == "booking_date" else (middle, 1500)):
                for from_, to in ((first, last), (middle, last), (first, middle)):
                    counted = Counting(view)
                    await statement(
                        counted,  # type: ignore[arg-type]
                        "hot",
                        from_=from_,
                        to=to,
                        by=by,
                        after=after,
                        at=at,
                        limit=limit,
                    )
                    most = max(most, counted.touched)
        counted = Counting(view)
        await posted_by_value_date(counted, "hot", middle, history.end // 2)  # type: ignore[arg-type]
        return max(most, counted.touched)

    touched = viewing(fresh_store.app_dsn, "statements", look)
    figure(f"rows touched by a page of {limit}, {by}", touched)
    assert touched <= limit + 1 + 1000


def test_an_export_survives_a_rebuild_in_its_middle(fresh_store: Store) -> None:
    """It goes on page by page at its position, on whatever generation is live."""
    history = History().open("alice", "bob")
    for _ in range(1200):
        history.pay(("alice", "bob", 5))
    dsn = fresh_store.app_dsn
    history.store(dsn)
    catch_up(dsn, ["statements"])

    async def run() -> int:
        async with read_pool(dsn) as pool:
            lines = csv_statement(
                Reader(pool),
                "alice",
                from_=date(2026, 11, 1),
                to=date(2026, 12, 1),
                by="value_date",
                at=history.end,
            )
            text = await anext(lines) + await anext(lines)
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("DELETE FROM tally_read.pointers")
                connection.execute("DELETE FROM tally_read.checkpoints")
            await asyncio.to_thread(catch_up, dsn, ["statements"])
            text += "".join([line async for line in lines])
            return len(text.splitlines())

    assert asyncio.run(run()) == 1201
