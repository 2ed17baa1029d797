"""The digits of a pay code, those of a server and those of a device: 23, and one to check them."""

import re
from typing import Final

CODE_LENGTH: Final = 24

_CODE: Final = re.compile(f"[0-9]{{{CODE_LENGTH}}}")
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
"""Of each digit: the sum of the digits of its double."""


def with_check_digit(digits: str) -> str:
    """The digits, and after them the one of the Luhn formula (ISO/IEC 7812-1, annex B)."""
    return f"{digits}{-_sum(digits + '0') % 10}"


def is_code(text: str) -> bool:
    """Whether this is 24 digits of which the last one checks the others."""
    return _CODE.fullmatch(text) is not None and _sum(text) % 10 == 0


def _sum(digits: str) -> int:
    """Every second digit doubled, from the last but one on."""
    values = [int(digit) for digit in reversed(digits)]
    return sum(values[::2]) + sum(_DOUBLED[value] for value in values[1::2])
