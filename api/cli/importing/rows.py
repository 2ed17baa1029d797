"""What a row of a file asks for, whatever the file's format."""

import csv
import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, TextIO

from domain.money import MAX_AMOUNT_MINOR, is_currency, minor_units

_ACCOUNT_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,63}", re.ASCII)
_LINE: Final = 1024 * 1024
"""Characters at most: a file without line breaks is not to fill the memory."""
_AMOUNT: Final = re.compile(r"\d{1,20}(\.\d{1,20})?([eE][+-]?\d{1,2})?", re.ASCII)


class Malformed(Exception):
    """A row that can't be read; the message names its line."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account to open, unless it is there."""

    id: str
    currency: str
    normal_side: str = "credit"
    overdraft_limit: int | None = 0
    max_balance: int | None = None
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """A payment of one posting, under a key that is the same whenever the file is read."""

    key: str
    debit: str
    credit: str
    amount_minor: int
    currency: str
    carrier: str | None = None
    reference: str | None = None
    value_date: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    counted: bool = True
    """Whether the summary counts it; an opening balance is not what its row is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    line: int
    steps: tuple[Account | Payment, ...]
    """In order: each waits for those before it that touch the same account."""


RowReader = Callable[[dict[str, str], int, int], Row]
"""(cells by column, line of the file from 1, number of the row from 1) -> Row; ValueError."""


def read_rows(
    file: Path, row_of: RowReader, check_header: Callable[[list[str]], None]
) -> Iterator[Row]:
    """The file's rows, one at a time. Raises Malformed, naming the line, and OSError."""
    with file.open(newline="", encoding="utf-8-sig", errors="strict") as text:
        reader = csv.reader(_lines(text), strict=True)
        header: list[str] | None = None
        number = 0
        try:
            for cells in reader:
                if not cells:
                    continue
                if header is None:
                    check_header(cells)
                    header = cells
                    continue
                if len(cells) != len(header):
                    raise ValueError(f"{len(cells)} columns where the header has {len(header)}")
                number += 1
                yield row_of(dict(zip(header, cells, strict=True)), reader.line_num, number)
        except UnicodeDecodeError as error:
            raise Malformed(reader.line_num + 1, "this is no UTF-8 text") from error
        except (ValueError, csv.Error) as error:
            raise Malformed(max(reader.line_num, 1), str(error)) from error
        if header is None:
            raise Malformed(1, "the file is empty; its first line names the columns")


def _lines(text: TextIO) -> Iterator[str]:
    for number, line in enumerate(iter(partial(text.readline, _LINE + 1), ""), 1):
        if len(line) > _LINE:
            raise Malformed(number, f"it is longer than {_LINE:,} characters")
        yield line


def account_id(text: str, column: str) -> str:
    if not _ACCOUNT_ID.fullmatch(text):
        raise ValueError(
            f"{column} is no account id: 1 to 64 of A-Z a-z 0-9 : . _ - (first a letter or digit)"
        )
    return text


def amount(text: str, currency: str, column: str) -> int:
    """Minor units of an amount above zero, written in major units."""
    found = limit(text, currency, column)
    if not 1 <= found <= MAX_AMOUNT_MINOR:
        raise ValueError(f"{column} is not between one minor unit and {MAX_AMOUNT_MINOR} of them")
    return found


def limit(text: str, currency: str, column: str) -> int:
    """Minor units of an amount from zero on, written in major units."""
    if _AMOUNT.fullmatch(text):
        with suppress(ValueError):
            found = minor_units(text, currency)
            if found <= MAX_AMOUNT_MINOR:
                return found
    raise ValueError(f"{column} is no amount of {currency} in major units, such as 10 or 10.50")


def known_currency(text: str) -> str:
    if not is_currency(text):
        raise ValueError("currency is no ISO 4217 code with a minor unit, such as EUR")
    return text


def content_hash(*parts: str) -> str:
    """32 hexadecimal digits of the parts, which do not run together."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]
