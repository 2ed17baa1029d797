"""A whole statement as CSV: page by page at one position, never in one long transaction."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import date
from typing import Any, Final

from domain.money import decimal_text
from projections.reading import Reader
from projections.statements.queries import By, Keys, statement

COLUMNS: Final = (
    *("position", "recorded_at", "booking_date", "value_date", "payment_id", "side", "amount"),
    *("amount_decimal", "currency", "balance", "reference"),
)
PAGE: Final = 500


async def csv_statement(
    reader: Reader, account: str, *, from_: date, to: date, by: By, at: int
) -> AsyncIterator[str]:
    """The lines of the statement as of position `at`, in pieces of a page each, header first."""
    yield _lines([COLUMNS])
    after: Keys | None = None
    while True:
        async with reader.at("statements") as view:
            page = await statement(
                view, account, from_=from_, to=to, by=by, after=after, at=at, limit=PAGE
            )
        if page is None:
            return
        yield _lines([_row(entry, page.body["currency"]) for entry in page.body["entries"]])
        if page.next is None:
            return
        after = page.next


def _row(entry: dict[str, Any], currency: str) -> list[Any]:
    derived = {
        "amount_decimal": decimal_text(entry["amount"], currency),
        "currency": currency,
    }
    return [{**entry, **derived}[column] for column in COLUMNS]


def _lines(rows: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()
