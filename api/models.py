"""Request bodies: their shape and bounds. What they mean is decided by the ledger."""

import re
from datetime import date
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from api.requests import RequestBody
from domain.currencies import MINOR_UNIT_EXPONENTS
from domain.money import MAX_AMOUNT_MINOR, is_currency

ACCOUNT_ID: Final = r"^[A-Za-z0-9][A-Za-z0-9:._-]{0,63}$"
"""1 to 64 characters; `:` makes a hierarchy."""
DATE: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
MAX_POSTINGS: Final = 100
MAX_METADATA: Final = 16
NO_NUL: Final[dict[str, Any]] = {"pattern": "^[^\\u0000]*$"}

_DATE: Final = re.compile(DATE, re.ASCII)


def text(value: str) -> str:
    """Text that a database and UTF-8 can hold: no NUL, no half of a surrogate pair."""
    if "\x00" in value:
        raise ValueError("Text must not have a NUL character.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("Text must not have a lone surrogate.") from None
    return value


def iso_date(value: Any) -> Any:
    """A date of the form YYYY-MM-DD; what is no text is left to the type's own check."""
    if not isinstance(value, str):
        return value
    try:
        if _DATE.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise ValueError("Write the date as YYYY-MM-DD.")


def _currency(value: str) -> str:
    if not is_currency(value):
        raise ValueError("An ISO 4217 alphabetic code of a currency with a minor unit.")
    return value


AccountId = Annotated[
    str,
    Field(
        pattern=ACCOUNT_ID,
        description="1 to 64 of A-Z a-z 0-9 : . _ -, starting with a letter or digit",
    ),
]
Currency = Annotated[
    str,
    AfterValidator(_currency),
    WithJsonSchema(
        {
            "type": "string",
            "enum": sorted(MINOR_UNIT_EXPONENTS),
            "description": "ISO 4217 alphabetic code of a currency with a minor unit",
        }
    ),
]
Limit = Annotated[int, Field(ge=0, le=MAX_AMOUNT_MINOR)]
Metadata = Annotated[
    dict[
        Annotated[str, AfterValidator(text), Field(min_length=1, max_length=64)],
        Annotated[str, AfterValidator(text), Field(max_length=256)],
    ],
    Field(max_length=MAX_METADATA),
    WithJsonSchema(
        {
            "type": "object",
            "description": "At most 16 pairs of text, 64 and 256 characters",
            "maxProperties": MAX_METADATA,
            "propertyNames": {"minLength": 1, "maxLength": 64, **NO_NUL},
            "additionalProperties": {"type": "string", "maxLength": 256, **NO_NUL},
        }
    ),
]
Date = Annotated[
    date,
    BeforeValidator(iso_date),
    WithJsonSchema({"type": "string", "format": "date", "pattern": DATE}),
]
Reason = Annotated[
    str, AfterValidator(text), Field(min_length=1, max_length=256, json_schema_extra=NO_NUL)
]
Reference = Annotated[str, AfterValidator(text), Field(max_length=64, json_schema_extra=NO_NUL)]
OverdraftLimit = Annotated[
    Limit | None, Field(description="Minor units; null is unlimited. Other than 0: admin only")
]
MaxBalance = Annotated[Limit | None, Field(description="Minor units; null is no maximum")]
NO_LIMIT: Final = frozenset({"overdraft_limit", "max_balance"})


class OpenAccountBody(RequestBody):
    NULL_SAYS: ClassVar[frozenset[str]] = NO_LIMIT

    id: AccountId | None = Field(None, description="Left out, the server makes one")
    currency: Currency
    normal_side: Literal["credit", "debit"] = "credit"
    overdraft_limit: OverdraftLimit = 0
    max_balance: MaxBalance = None
    metadata: Metadata = Field(default_factory=dict)


class ChangeAccountBody(RequestBody):
    """What is absent stays as it is; metadata is replaced as a whole."""

    NULL_SAYS: ClassVar[frozenset[str]] = NO_LIMIT

    overdraft_limit: OverdraftLimit = 0
    max_balance: MaxBalance = None
    metadata: Metadata = Field(default_factory=dict)


class ReasonBody(RequestBody):
    reason: Reason


class PostingBody(RequestBody):
    debit: AccountId
    credit: AccountId
    amount: int = Field(ge=1, le=MAX_AMOUNT_MINOR, description="Minor units")
    currency: Currency


class PaymentBody(RequestBody):
    postings: list[PostingBody] = Field(min_length=1, max_length=MAX_POSTINGS)
    mode: Literal["settle"] = "settle"
    carrier: Literal["api", "qr", "barcode", "nfc", "sonic", "link"] = "api"
    reference: Reference | None = Field(None, description="Not unique: the key is")
    value_date: Date | None = Field(
        None, description="At most 366 days from today; left out, the day (UTC) it is booked"
    )
    metadata: Metadata = Field(default_factory=dict)
