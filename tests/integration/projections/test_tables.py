"""Arrays as text are what PostgreSQL reads them as."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from projections.arrays import numbers, texts, times
from tests.fixtures.fix_postgres import Store


@pytest.mark.parametrize(
    "values",
    [[], [""], ["", ""], ["alice", 'b"o"b', "c\\", "NULL", "{d, e}", "ж\n\U0010ffff", " "]],
)
def test_texts_come_as_they_are(fresh_store: Store, values: list[str]) -> None:
    with psycopg.connect(fresh_store.app_dsn) as connection:
        row = connection.execute("SELECT %s::text[]", (texts(values),)).fetchone()
    assert row == (values,)


def test_numbers_and_times_come_as_they_are(fresh_store: Store) -> None:
    now = datetime(2026, 11, 23, 9, 0, 0, 123456, tzinfo=UTC)
    wanted = [-(2**63), None, 0, 2**63 - 1], [now, now, now + timedelta(microseconds=1)]
    with psycopg.connect(fresh_store.app_dsn) as connection:
        row = connection.execute(
            "SELECT %s::bigint[], %s::timestamptz[]", (numbers(wanted[0]), times(wanted[1]))
        ).fetchone()
    assert row == wanted
