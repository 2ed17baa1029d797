"""Our own CSV: accounts and payments in one file, amounts in major units. docs/import-csv.md."""

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Final

from api.cli.importing.rows import (
    Account,
    Payment,
    Row,
    account_id,
    amount,
    known_currency,
    limit,
    read_rows,
)

REQUIRED: Final = ("type", "id", "currency")
OF_ACCOUNTS: Final = ("normal_side", "overdraft_limit", "max_balance")
OF_PAYMENTS: Final = ("debit", "credit", "amount", "reference", "value_date", "carrier")
METADATA: Final = "metadata."
UNLIMITED: Final = "unlimited"
CARRIERS: Final = ("api", "qr", "barcode", "nfc", "sonic", "link")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,200}")


def our_rows(file: Path, currency: str) -> Iterator[Row]:
    """The rows of a file of ours; `currency` is for rows that name none. Raises Malformed."""

    def row(cells: dict[str, str], line: int, _number: int) -> Row:
        of_row = known_currency(cells["currency"] or currency)
        match cells["type"]:
            case "account":
                _empty(cells, OF_PAYMENTS, "an account")
                return Row(line=line, steps=(_account(cells, of_row),))
            case "payment":
                _empty(cells, OF_ACCOUNTS, "a payment")
                return Row(line=line, steps=(_payment(cells, of_row),))
            case _:
                raise ValueError("type is neither account nor payment")

    return read_rows(file, row, _check_header)


def _check_header(columns: list[str]) -> None:
    for name in REQUIRED:
        if name not in columns:
            raise ValueError(f"the header has no column {name}")
    for name in columns:
        if name not in (*REQUIRED, *OF_ACCOUNTS, *OF_PAYMENTS) and not (
            name.startswith(METADATA) and 0 < len(name) - len(METADATA) <= 64
        ):
            raise ValueError(f"the header has an unknown column {name!r}")
        if columns.count(name) > 1:
            raise ValueError(f"the header has the column {name} twice")


def _account(cells: dict[str, str], currency: str) -> Account:
    side = cells.get("normal_side") or "credit"
    if side not in ("credit", "debit"):
        raise ValueError("normal_side is neither credit nor debit")
    overdraft = cells.get("overdraft_limit") or "0"
    most = cells.get("max_balance") or UNLIMITED
    return Account(
        id=account_id(cells["id"], "id"),
        currency=currency,
        normal_side=side,
        overdraft_limit=_limit(overdraft, currency, "overdraft_limit"),
        max_balance=_limit(most, currency, "max_balance"),
        metadata=_metadata(cells),
    )


def _payment(cells: dict[str, str], currency: str) -> Payment:
    if not _KEY.fullmatch(cells["id"]):
        raise ValueError("id is not 1 to 200 visible ASCII characters")
    carrier = cells.get("carrier") or None
    if carrier and carrier not in CARRIERS:
        raise ValueError(f"carrier is none of {', '.join(CARRIERS)}")
    reference = cells.get("reference") or None
    if reference and len(reference) > 64:
        raise ValueError("reference is longer than 64 characters")
    return Payment(
        key=f"import-{cells['id']}",
        debit=account_id(cells.get("debit", ""), "debit"),
        credit=account_id(cells.get("credit", ""), "credit"),
        amount_minor=amount(cells.get("amount", ""), currency, "amount"),
        currency=currency,
        carrier=carrier,
        reference=reference,
        value_date=_date(cells.get("value_date") or None),
        metadata=_metadata(cells),
    )


def _limit(text: str, currency: str, column: str) -> int | None:
    return None if text == UNLIMITED else limit(text, currency, column)


def _date(text: str | None) -> str | None:
    if text and not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        raise ValueError("value_date is no date such as 2026-11-23")
    if text:
        try:
            date.fromisoformat(text)
        except ValueError:
            raise ValueError("value_date is no day of the calendar") from None
    return text


def _metadata(cells: dict[str, str]) -> dict[str, str]:
    found = {
        name.removeprefix(METADATA): text
        for name, text in cells.items()
        if text and name.startswith(METADATA)
    }
    if len(found) > 16:
        raise ValueError("a row has at most 16 metadata columns filled")
    if any(len(text) > 256 for text in found.values()):
        raise ValueError("a metadata column is longer than 256 characters")
    return found


def _empty(cells: dict[str, str], columns: tuple[str, ...], what: str) -> None:
    for name in columns:
        if cells.get(name):
            raise ValueError(f"{what} has no {name}")
