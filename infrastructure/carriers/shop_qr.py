"""Our own merchant-presented QR codes: what a shop shows, for a request or for any amount."""

import re
from dataclasses import dataclass
from typing import Final

from domain.currencies import NUMERIC_CODES
from domain.money import decimal_text
from infrastructure.carriers import emvco

IDENTIFIER: Final = "internal.tallystick"
"""Field 26-00, a reverse domain name as the standard has it: `.internal` is nobody's, and an
account id of 64 characters fits beside it."""

TOKEN: Final = re.compile("[A-Za-z0-9_-]{22,64}")
"""Of a payment request: at least 128 random bits in base64url."""

_STATIC: Final = "11"
_DYNAMIC: Final = "12"


class AmountNotRepresentable(Exception):
    """The amount in major units has more characters than the standard's 13."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopQr:
    """Where the shops are, as TALLY_QR_COUNTRY, TALLY_QR_CITY and TALLY_QR_MCC say."""

    country: str
    city: str
    mcc: str

    def of_account(self, account: str, *, currency: str) -> str:
        """The text of a static code: the payer chooses the amount."""
        return emvco.build(self._fields(_STATIC, account, account, currency, None))

    def of_request(
        self, token: str, *, account: str, currency: str, amount_minor: int | None, label: str
    ) -> str:
        """The text of a dynamic code. The label is 1 to 25 printable ASCII characters.

        Raises AmountNotRepresentable.
        """
        fields = self._fields(_DYNAMIC, token, account, currency, amount_minor)
        return emvco.build({**fields, emvco.ADDITIONAL: {"05": label}})

    def _fields(
        self, initiation: str, target: str, account: str, currency: str, amount_minor: int | None
    ) -> dict[str, str | dict[str, str]]:
        amount = None if amount_minor is None else decimal_text(amount_minor, currency)
        if amount is not None and len(amount) > emvco.MAX_AMOUNT:
            raise AmountNotRepresentable
        return {
            emvco.FORMAT: "01",
            emvco.INITIATION: initiation,
            emvco.ACCOUNT: {"00": IDENTIFIER, "01": target},
            emvco.MCC: self.mcc,
            emvco.CURRENCY: NUMERIC_CODES[currency],
            **({} if amount is None else {emvco.AMOUNT: amount}),
            emvco.COUNTRY: self.country,
            emvco.NAME: account[: emvco.MAX_NAME],
            emvco.CITY: self.city,
        }
