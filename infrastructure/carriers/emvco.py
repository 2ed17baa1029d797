"""EMVCo merchant-presented QR codes as text: a pure format, built and parsed.

A field is two digits of id, two of length in characters, and its value; a template's value is
fields again. Source: EMV QR Code Specification for Payment Systems, Merchant-Presented Mode, 1.1.
"""

import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Final

from domain.currencies import NUMERIC_CODES
from domain.money import minor_units

MAX_TEXT: Final = 512
MAX_VALUE: Final = 99
MAX_AMOUNT: Final = 13
MAX_NAME: Final = 25
MAX_CITY: Final = 15

FORMAT, INITIATION, ACCOUNT = "00", "01", "26"
MCC, CURRENCY, AMOUNT = "52", "53", "54"
COUNTRY, NAME, CITY = "58", "59", "60"
ADDITIONAL, CRC = "62", "63"

Fields = Mapping[str, str | Mapping[str, str]]
"""By id, in their order; a template's value is its own fields."""

_TEMPLATES: Final = frozenset(map(str, (*range(26, 52), 62, 64, *range(80, 100))))
_FORMATS: Final = {
    field: re.compile(pattern, re.DOTALL)
    for field, pattern in {
        FORMAT: "01",
        INITIATION: "[0-9]{2}",
        MCC: "[0-9]{4}",
        CURRENCY: "[0-9]{3}",
        AMOUNT: rf"(?=.{{1,{MAX_AMOUNT}}}$)(?=.*[1-9])[0-9]+(\.[0-9]*)?",
        COUNTRY: "[A-Z]{2}",
        NAME: f".{{1,{MAX_NAME}}}",
        CITY: f".{{1,{MAX_CITY}}}",
        CRC: "[0-9A-F]{4}",
    }.items()
}
_TWO_DIGITS: Final = re.compile("[0-9]{2}")
_CURRENCIES: Final = {number: code for code, number in NUMERIC_CODES.items()}


class NotEmvco(ValueError):
    """What a text or its fields break of the standard; never their values."""


def parse(text: str) -> dict[str, str | dict[str, str]]:
    """Every field of the text, those that nobody knows too, and its CRC.

    Raises NotEmvco. What it gives is built to the same text again.
    """
    if len(text) > MAX_TEXT:
        raise NotEmvco(f"more than {MAX_TEXT} characters")
    values = _split(text)
    fields: dict[str, str | dict[str, str]] = {
        field: _split(value) if field in _TEMPLATES else value for field, value in values.items()
    }
    _check(fields)
    if list(values)[-1] != CRC:
        raise NotEmvco("it does not end with its CRC")
    if values[CRC] != _crc(text[:-4]):
        raise NotEmvco("wrong CRC")
    return fields


def build(fields: Fields) -> str:
    """The text of the fields, in their order, with its CRC; one among them doesn't count.

    Raises NotEmvco.
    """
    fields = {field: value for field, value in fields.items() if field != CRC}
    _check(fields)
    text = _joined((field, _value(value)) for field, value in fields.items()) + CRC + "04"
    text += _crc(text)
    if len(text) > MAX_TEXT:
        raise NotEmvco(f"more than {MAX_TEXT} characters")
    return text


def currency(fields: Fields) -> str | None:
    """The alphabetic code; None where there is none, or none that has a minor unit."""
    number = fields.get(CURRENCY)
    return _CURRENCIES.get(number) if isinstance(number, str) else None


def amount_minor(fields: Fields) -> int | None:
    """Minor units; None where the payer chooses, or where the currency isn't known.

    Raises NotEmvco where the currency has no such amount.
    """
    amount, code = fields.get(AMOUNT), currency(fields)
    if not isinstance(amount, str) or code is None:
        return None
    try:
        return minor_units(amount, code)
    except ValueError:
        raise NotEmvco("more decimals than the currency has") from None


def _split(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    at = 0
    while at < len(text):
        field, length = text[at : at + 2], text[at + 2 : at + 4]
        if not (_TWO_DIGITS.fullmatch(field) and _TWO_DIGITS.fullmatch(length)):
            raise NotEmvco("an id or a length is not two digits")
        if field in fields:
            raise NotEmvco(f"field {field} is there twice")
        at += 4 + int(length)
        fields[field] = text[at - int(length) : at]
        if at > len(text) or length == "00":
            raise NotEmvco(f"field {field} has a wrong length")
    if not fields:
        raise NotEmvco("there are no fields")
    return fields


def _check(fields: Fields) -> None:
    if next(iter(fields), None) != FORMAT:
        raise NotEmvco("it does not begin with its format")
    for field, value in fields.items():
        if isinstance(value, str) == (field in _TEMPLATES):
            raise NotEmvco(f"field {field} is a template where it is text, or text where it isn't")
        wanted = _FORMATS.get(field)
        if wanted and isinstance(value, str) and not wanted.fullmatch(value):
            raise NotEmvco(f"field {field} has another form")


def _value(value: str | Mapping[str, str]) -> str:
    return value if isinstance(value, str) else _joined(iter(value.items()))


def _joined(fields: Iterator[tuple[str, str]]) -> str:
    text = ""
    for field, value in fields:
        if not _TWO_DIGITS.fullmatch(field):
            raise NotEmvco("an id is not two digits")
        if not 1 <= len(value) <= MAX_VALUE:
            raise NotEmvco(f"field {field} has not 1 to {MAX_VALUE} characters")
        text += f"{field}{len(value):02}{value}"
    return text


def _crc(text: str) -> str:
    """CRC-16 of ISO/IEC 13239 (polynomial 1021, initially FFFF), over UTF-8."""
    try:
        content = text.encode()
    except UnicodeEncodeError:
        raise NotEmvco("text that UTF-8 does not know") from None
    return f"{binascii.crc_hqx(content, 0xFFFF):04X}"
