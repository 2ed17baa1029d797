"""Money is an integer number of minor units of one ISO 4217 currency; floats never touch it."""

from decimal import Decimal
from typing import Final

from domain.currencies import MINOR_UNIT_EXPONENTS

MAX_AMOUNT_MINOR: Final = 9_007_199_254_740_991
"""Largest amount of one posting: 2**53 - 1, so that any JSON reader keeps it exact."""

MIN_BALANCE_MINOR: Final = -(2**63)
MAX_BALANCE_MINOR: Final = 2**63 - 1
"""Balances stay in the signed 64-bit range, which every store and reader can hold."""


def is_currency(code: str) -> bool:
    """Whether `code` is an ISO 4217 alphabetic code with a minor unit (not XAU, XXX, ...)."""
    return code in MINOR_UNIT_EXPONENTS


def exponent(currency: str) -> int:
    """Number of decimals of the currency's minor unit: EUR 2, JPY 0, BHD 3."""
    return MINOR_UNIT_EXPONENTS[currency]


def decimal_text(amount_minor: int, currency: str) -> str:
    """The amount in major units as people write it: 1050 EUR is `10.50`."""
    return str(Decimal(amount_minor).scaleb(-exponent(currency)))


def minor_units(text: str, currency: str) -> int:
    """Minor units of an amount written in major units; exponent form (`1.00E+07`) is read too.

    Raises ValueError where the text is no finite number, or has more decimals than the
    currency's minor unit holds.
    """
    try:
        scaled = Decimal(text).scaleb(exponent(currency))
        amount = int(scaled)
    except (ArithmeticError, ValueError) as error:
        raise ValueError(f"not an amount of {currency}") from error
    if amount != scaled:
        raise ValueError(f"more decimals than {currency} has")
    return amount
