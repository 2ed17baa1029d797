"""The digits of pay codes: any single mistake in typing them shows."""

import pytest

from domain.code_digits import is_code, with_check_digit


@pytest.mark.parametrize(
    ("digits", "whole"),
    [
        ("7992739871", "79927398713"),  # the example of the patent, US 2,950,048
        ("37828224631000", "378282246310005"),  # published numbers of test cards
        ("411111111111111", "4111111111111111"),
    ],
)
def test_the_check_digit_is_luhns(digits: str, whole: str) -> None:
    assert with_check_digit(digits) == whole


def test_a_code_is_24_digits_of_which_the_last_checks_the_others() -> None:
    code = with_check_digit("9000" + "1234567890123456789")
    assert is_code(code)
    for at, digit in enumerate(code):
        assert [d for d in "0123456789" if is_code(code[:at] + d + code[at + 1 :])] == [digit]


@pytest.mark.parametrize(
    "text", ["", "0" * 23, "0" * 25, "0" * 23 + "\n", "٠" * 24, "0" * 23 + "²"]
)
def test_what_is_not_24_digits_is_no_code(text: str) -> None:
    assert is_code("0" * 24)
    assert not is_code(text)
