"""`reconcile` finds nothing in a good ledger, and names what somebody altered."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from application.ports import StoredSnapshot
from projections.registry import PROJECTIONS
from tests.fixtures.fix_events import History
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_projections import catch_up, reached, workers
from tests.fixtures.fix_reconcile import alter, alter_rows, checked, owner


def busy() -> History:
    """Opens alice, bob and cash (1 to 6), pays (7 …), and all that an account can go through."""
    history = History().open("alice", "bob", overdraft_limit=0).open("cash", normal_side="debit")
    history.pay(("cash", "alice", 100), ("alice", "bob", 30), reference="order-1")
    history.later(days=1).pay(("alice", "bob", 30), value_date=date(2026, 11, 20))
    history.pay(("alice", "bob", 3000), metadata={"table": "4"})
    history.change("bob", overdraft_limit=500, metadata={"a": "b"}).freeze("bob").unfreeze("bob")
    history.pay(("bob", "alice", 200))
    history.open("carol").close("carol")
    return history


@pytest.fixture
def good(fresh_store: Store) -> Store:
    busy().store(fresh_store.app_dsn)
    catch_up(fresh_store.app_dsn)
    return fresh_store


def test_a_good_ledger_has_no_differences(good: Store) -> None:
    seen: list[tuple[str, int, int]] = []
    report = checked(good, progress=lambda *step: seen.append(step))
    assert report.good
    assert report.differences == []
    assert report.end == busy().end
    assert (report.accounts, report.payments) == (4, 4)
    assert report.sums == {"EUR": 0}
    assert report.positions == dict.fromkeys(PROJECTIONS, report.end)
    assert report.rows > 30
    assert seen


def test_an_empty_ledger_without_read_models_lacks_them(fresh_store: Store) -> None:
    assert checked(fresh_store).differences == [
        f"{name}: the read model is missing" for name in PROJECTIONS
    ]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("account", "carol"),
        ("payment", "00000000000000000000000000000000"),
        ("index", 7),
        ("amount_minor", 31),
        ("currency", "USD"),
        ("from_hold", True),
        ("posted", 71),
        ("pending_debit", 1),
        ("pending_credit", 1),
        ("available", 71),
        ("value_date", "2026-11-01"),
        ("counter_account", "cash"),
        ("reference", "order-2"),
        ("carrier", "qr"),
        ("command", "00000000000000000000000000000000"),
        ("actor", ["thief", "key-1", "request-1"]),
    ],
)
def test_any_altered_member_of_an_entry_names_its_event(
    good: Store, member: str, value: Any
) -> None:
    alter(good, 10, **{member: value})
    report = checked(good)
    assert any(each.startswith("event 10: ") for each in report.differences), report.differences


@pytest.mark.parametrize(
    ("position", "change", "named"),
    [
        (1, {"max_balance": 9}, "account_after of alice"),
        (
            7,
            {"postings": [["cash", "alice", 99, "EUR"], ["alice", "bob", 30, "EUR"]]},
            "(event 7)",
        ),
        (7, {"reference": "order-2"}, "(event 7)"),
        (15, {"metadata": {"table": "5"}}, "payments "),
        (15, {"refusal": {"code": "account_unknown"}}, "payments "),
        (2, {"account_after": {}}, "event 2: account_after"),
        (1, {"command": "0" * 32}, "event 2: the command of event 1 lacks 1 events"),
        (2, {"name": "freeze_account"}, "event 2: name freeze_account, its command"),
        (2, {"account": None}, "event 2: it is about an account or a payment, one of both"),
        (2, {"refusal": {"code": "x"}}, "event 2: accepted, and its refusal is"),
        (16, {"changed": {"overdraft_limit": 600}}, "account_after of bob"),
    ],
)
def test_an_altered_event_is_named(
    good: Store, position: int, change: dict[str, Any], named: str
) -> None:
    alter(good, position, **change)
    report = checked(good)
    assert any(named in each for each in report.differences), report.differences


def test_an_event_that_cannot_be_read_is_named(good: Store) -> None:
    with owner(good) as connection:
        connection.execute("UPDATE tally.events SET payload = 'x' WHERE position = 8")
        connection.execute("UPDATE tally.events SET type = 'tally.x.v1' WHERE position = 9")
    differences = checked(good).differences
    assert any(each.startswith("event 8: ") and "can't be read" in each for each in differences)
    assert "event 9: event type tally.x.v1 is unknown to this version" in differences


def test_a_hole_a_step_back_in_time_and_a_wrong_version_are_named(good: Store) -> None:
    with owner(good) as connection:
        connection.execute("DELETE FROM tally.events WHERE position = 20")
        connection.execute(
            "UPDATE tally.events SET recorded_at = '2020-01-01Z' WHERE position = 19"
        )
        connection.execute("UPDATE tally.events SET version = 99 WHERE position = 10")
    differences = checked(good).differences
    assert "position 20: missing; 21 follows" in differences
    assert any(each.startswith("event 19: recorded 2020-01-01") for each in differences)
    assert any(each.startswith("event 10: version 99 of") for each in differences)


def test_a_payment_cut_off_at_the_end_is_named(fresh_store: Store) -> None:
    history = History().open("alice", "bob")
    history.pay(("alice", "bob", 1))
    history.store(fresh_store.app_dsn)
    with owner(fresh_store) as connection:
        connection.execute("DELETE FROM tally.events WHERE position = 7")
    differences = checked(fresh_store).differences
    assert "position 7: the command of event 5 lacks 1 events" in differences
    assert "trial balance: EUR is off by 1" in differences


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE accounts_g1 SET status = 'frozen' WHERE account = 'bob'", "accounts bob: status"),
        ("UPDATE accounts_g1 SET metadata = '{}' WHERE account = 'bob'", "accounts bob: metadata"),
        ("DELETE FROM accounts_g1 WHERE account = 'bob'", "accounts bob: missing"),
        (
            "UPDATE balances_g1 SET posted = 5 WHERE account = 'alice'",
            "balances alice: posted 5, should be 240",
        ),
        (
            "INSERT INTO balances_g1 SELECT 'eve', currency, normal_side, opened_position,"
            " position, version, posted, pending_debit, pending_credit, available, balanced_at"
            " FROM balances_g1 LIMIT 1",
            "balances eve: should not be there",
        ),
        (
            "UPDATE balances_history_g1 SET posted = 5 WHERE account = 'alice' AND position = 9",
            "balances_history alice at 9: posted 5, should be 100",
        ),
        (
            "DELETE FROM balances_history_g1 WHERE account = 'alice' AND position = 9",
            "balances_history alice at 9: missing",
        ),
        (
            "UPDATE statements_g1 SET reference = 'x' WHERE position = 10",
            "statements alice at 10: reference x, should be order-1",
        ),
        (
            "UPDATE statements_g1 SET off_debits = 1 WHERE account = 'alice' AND position = 13",
            "statements alice at 13: off_debits 1, should be 30",
        ),
        (
            "UPDATE statements_accounts_g1 SET currency = 'XTS' WHERE account = 'alice'",
            "statements_accounts alice: currency XTS, should be EUR",
        ),
        (
            "UPDATE statements_days_g1 SET first_position = 2 WHERE first_position = 8",
            "statements_days 2026-11-23: first_position 2, should be 8",
        ),
        (
            "UPDATE statements_off_days_g1 SET credits = 5 WHERE account = 'bob'",
            "statements_off_days bob at 14: credits 5, should be 30",
        ),
        (
            "UPDATE payments_g1 SET state = 'held' WHERE created_position = 7",
            "state held, should be settled",
        ),
        ("DELETE FROM payments_g1 WHERE created_position = 7", ": missing"),
        (
            "UPDATE payments_accounts_g1 SET account = 'eve' WHERE account = 'bob'"
            " AND created_position = 7",
            "payments_accounts eve: position 7 is too much",
        ),
    ],
)
def test_an_altered_row_of_a_read_model_is_named(good: Store, statement: str, named: str) -> None:
    alter_rows(good, statement)
    report = checked(good)
    assert report.differences
    assert all(named in each or "payments_accounts" in each for each in report.differences)
    assert any(named in each for each in report.differences), report.differences


def test_an_altered_snapshot_is_named(good: Store) -> None:
    stream = busy().accounts["alice"].id
    with owner(good) as connection:
        connection.execute("INSERT INTO tally.snapshots VALUES (%s, 2, 1, 9, '{}')", (stream,))
    seen: list[StoredSnapshot] = []

    def differs(snapshot: StoredSnapshot) -> bool:
        seen.append(snapshot)
        return True

    report = checked(good, snapshot_differs=differs)
    assert report.differences == ["snapshot of alice at version 2: another state than replay"]
    assert seen == [StoredSnapshot(stream, 2, 1, 9, b"{}")]


def test_read_models_are_compared_where_they_stand(fresh_store: Store) -> None:
    """Some behind for good, some moving on meanwhile."""
    history, dsn = busy(), fresh_store.app_dsn
    history.store(dsn)
    catch_up(dsn, ["statements", "payments"])
    behind = history.end
    for _ in range(50):
        history.pay(("cash", "alice", 1))
    history.store(dsn)
    with workers(dsn, "accounts", "balances"):
        assert reached(dsn, history.end, "accounts", "balances")

        def more(*_: Any) -> None:
            history.pay(("cash", "alice", 1))
            history.store(dsn)

        report = checked(fresh_store, progress=more)
    assert report.differences == []
    assert report.positions["statements"] == report.positions["payments"] == behind
    assert report.positions["accounts"] >= behind + 150
