"""EMVCo texts: the published ones, and what the standard forbids."""

from __future__ import annotations

from typing import Any

import pytest

from infrastructure.carriers.emvco import (
    CRC,
    NotEmvco,
    amount_minor,
    build,
    currency,
    parse,
)
from tests.fixtures.fix_emvco import PIX_STATIC, PUBLISHED, SPECIFICATION, with_crc


@pytest.mark.parametrize(("text", "money"), PUBLISHED.items())
def test_a_published_text_is_read_and_built_to_the_same_again(
    text: str, money: tuple[str, int | None]
) -> None:
    fields = parse(text)
    assert (currency(fields), amount_minor(fields)) == money
    assert build(fields) == text


def test_a_template_is_its_fields_and_lengths_are_in_characters() -> None:
    fields = parse(SPECIFICATION)
    assert fields["29"] == {"00": "D15600000000", "05": "A93FO3230Q"}
    assert fields["64"] == {"00": "ZH", "01": "最佳运输", "02": "北京"}
    assert (fields["59"], fields["60"], fields[CRC]) == ("BEST TRANSPORT", "BEIJING", "A13A")


def test_fields_that_nobody_knows_stay_in_their_place() -> None:
    text = with_crc("0002016502ab99070003xyz" + "7901?" + "1504four")
    assert list(parse(text)) == ["00", "65", "99", "79", "15", "63"]
    assert build(parse(text)) == text


def test_a_field_is_a_template_or_a_text_by_its_number() -> None:
    templates = {*range(26, 52), 62, 64, *range(80, 100)}
    for number in {*range(2, 100)} - {52, 53, 54, 58, 63}:
        field = f"{number:02}"
        assert parse(with_crc(f"000201{field}050001x"))[field] == (
            {"00": "x"} if number in templates else "0001x"
        )


@pytest.mark.parametrize("at", range(len(PIX_STATIC)))
def test_any_other_character_anywhere_is_refused(at: int) -> None:
    for other in ("0", "9", "Z", "é"):
        if PIX_STATIC[at] != other:
            with pytest.raises(NotEmvco):
                parse(PIX_STATIC[:at] + other + PIX_STATIC[at + 1 :])


@pytest.mark.parametrize("end", range(len(PIX_STATIC)))
def test_a_text_that_is_cut_is_refused(end: int) -> None:
    with pytest.raises(NotEmvco):
        parse(PIX_STATIC[:end])


@pytest.mark.parametrize(
    "fields",
    [
        "5802TH",  # no format
        "5802TH000201",  # which isn't the first
        "000202",  # another format
        "0002015802TH5802TH",  # a field twice
        "000201" + "6500",  # an empty field
        "000201" + "2600",  # an empty template
        "000201" + "2604" + "0000",  # an empty field in one
        "000201" + "2607" + "0010abc",  # one that ends before its field
        "000201" + "2603abc",  # a template that isn't one
        "000201" + "260800000001",  # whose length is beyond it
        "000201" + "2610" + "0001a0001b",  # with a field twice
        "000201" + "5926" + "n" * 26,
        "000201" + "6016" + "c" * 16,
        "000201" + "5414" + "1" * 14,
        "000201" + "54040.00",
        "000201" + "5404.120",
        "000201" + "54031,5",
        "000201" + "5402-1",
        "000201" + "5302EU",
        "000201" + "5303EUR",
        "000201" + "5802de",
        "000201" + "5203411",
        "000201" + "6304ABCD",  # a CRC before the CRC
        "000201" + "²²" + "01a",
        "000201" + "٦٥" + "01a",
        "000201" + "01" + "²²" + "11",
        "0002015902\ud800a",
        "000201" + "".join(f"{n}99{'x' * 99}" for n in range(65, 70)),  # 527 characters
    ],
)
def test_what_the_standard_forbids_is_refused(fields: str) -> None:
    try:
        text = with_crc(fields)
    except UnicodeEncodeError:
        text = fields + "6304ABCD"
    with pytest.raises(NotEmvco):
        parse(text)


def test_a_crc_in_small_letters_is_another_one() -> None:
    with pytest.raises(NotEmvco):
        parse(PIX_STATIC[:-4] + "1d3d")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"58": "TH"},
        {"00": "01", "5": "x"},
        {"00": "01", "65": ""},
        {"00": "01", "65": "x" * 100},
        {"00": "01", "26": "0001a"},
        {"00": "01", "26": {}},
        {"00": "01", "26": {"00": "x" * 50, "01": "x" * 50}},
        {"00": "01", "65": {"00": "a"}},
        {"00": "01", "59": "n" * 26},
        {"00": "01", "65": "\ud800"},
        {"00": "01", **{str(n): "x" * 99 for n in range(65, 70)}},
    ],
)
def test_what_the_standard_forbids_is_not_built(fields: dict[str, Any]) -> None:
    with pytest.raises(NotEmvco):
        build(fields)


@pytest.mark.parametrize(
    ("number", "amount", "money"),
    [
        ("978", "10.50", ("EUR", 1050)),
        ("978", "10.5", ("EUR", 1050)),
        ("978", "10.", ("EUR", 1000)),
        ("392", "1050", ("JPY", 1050)),
        ("048", "0.001", ("BHD", 1)),
        ("999", "10.50", (None, None)),
        ("978", "9999999999999", ("EUR", 999_999_999_999_900)),
    ],
)
def test_an_amount_is_in_minor_units_of_its_currency(
    number: str, amount: str, money: tuple[str | None, int | None]
) -> None:
    fields = parse(with_crc(f"0002015303{number}54{len(amount):02}{amount}"))
    assert (currency(fields), amount_minor(fields)) == money


def test_an_amount_with_more_decimals_than_the_currency_has_is_refused() -> None:
    with pytest.raises(NotEmvco):
        amount_minor(parse(with_crc("0002015303392" + "540410.5")))
