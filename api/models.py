"""Request bodies: their shape and bounds. What they mean is decided by the ledger."""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from api.requests import SHAPE, RequestBody
from domain.currencies import MINOR_UNIT_EXPONENTS
from domain.money import MAX_AMOUNT_MINOR, is_currency

ACCOUNT_ID: Final = r"^[A-Za-z0-9][A-Za-z0-9:._-]{0,63}$"
"""1 to 64 characters; `:` makes a hierarchy."""
DATE: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
TIME: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$"
MAX_POSTINGS: Final = 100
MAX_CONDITIONS: Final = 100
"""Each may name an account that is loaded to decide."""
MAX_LIMITS: Final = 21
"""Every window with every carrier, and with none."""
MAX_HOLD_S: Final = 2_592_000
MAX_METADATA: Final = 16
NO_NUL: Final[dict[str, Any]] = {"pattern": "^[^\\u0000]*$"}

_DATE: Final = re.compile(DATE, re.ASCII)
_TIME: Final = re.compile(TIME, re.ASCII)


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


def utc_time(value: Any) -> Any:
    """A time as RFC 3339 has it, in UTC; what is no text is left to the type's own check."""
    if not isinstance(value, str):
        return value
    try:
        if _TIME.fullmatch(value):
            return datetime.fromisoformat(value.removesuffix("Z")).replace(tzinfo=UTC)
    except ValueError:
        pass
    raise ValueError("Write the time as RFC 3339 in UTC, with Z: 2026-11-23T09:30:00Z.")


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
Time = Annotated[
    datetime,
    BeforeValidator(utc_time),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": TIME}),
]
Carrier = Literal["api", "qr", "barcode", "nfc", "sonic", "link"]
Amount = Annotated[int, Field(ge=1, le=MAX_AMOUNT_MINOR, description="Minor units")]
Reason = Annotated[
    str, AfterValidator(text), Field(min_length=1, max_length=256, json_schema_extra=NO_NUL)
]
Reference = Annotated[str, AfterValidator(text), Field(max_length=64, json_schema_extra=NO_NUL)]
OverdraftLimit = Annotated[
    Limit | None, Field(description="Minor units; null is unlimited. Other than 0: admin only")
]
MaxBalance = Annotated[Limit | None, Field(description="Minor units; null is no maximum")]
QrText = Annotated[str, AfterValidator(text), Field(json_schema_extra=NO_NUL)]
NO_LIMIT: Final = frozenset({"overdraft_limit", "max_balance"})


class OpenAccountBody(RequestBody):
    NULL_SAYS: ClassVar[frozenset[str]] = NO_LIMIT

    id: AccountId | None = Field(None, description="Left out, the server makes one")
    currency: Currency
    normal_side: Literal["credit", "debit"] = "credit"
    overdraft_limit: OverdraftLimit = 0
    max_balance: MaxBalance = None
    metadata: Metadata = Field(default_factory=dict)


class LimitBody(RequestBody):
    """A velocity limit: what the account is debited, or holds, in a window."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": [name], "properties": {name: {"type": "integer"}}}
                for name in ("max_count", "max_amount")
            ]
        }
    )

    window: Literal["hour", "day", "month"] = Field(
        description="Hour and day roll; month is the calendar month in UTC"
    )
    carrier: Carrier | None = Field(None, description="Only what comes by it counts")
    max_count: Annotated[Limit, Field(description="Payments")] | None = None
    max_amount: Annotated[Limit, Field(description="Minor units")] | None = None


def _limits(limits: list[LimitBody]) -> list[LimitBody]:
    if any(limit.max_count is None and limit.max_amount is None for limit in limits):
        raise ValueError("Each limit needs max_count, max_amount, or both.")
    if len({(limit.window, limit.carrier) for limit in limits}) < len(limits):
        raise ValueError("A window and carrier can have one limit; two have the same.")
    return limits


class ChangeAccountBody(RequestBody):
    """What is absent stays as it is; metadata and limits are replaced as a whole."""

    NULL_SAYS: ClassVar[frozenset[str]] = NO_LIMIT
    ITEMS: ClassVar[dict[str, type[RequestBody]]] = {"limits": LimitBody}

    overdraft_limit: OverdraftLimit = 0
    max_balance: MaxBalance = None
    metadata: Metadata = Field(default_factory=dict)
    limits: Annotated[list[LimitBody], AfterValidator(_limits)] = Field(
        default_factory=list,
        max_length=MAX_LIMITS,
        description="Velocity limits; none removes them all. A changed maximum keeps what counted",
    )


class ReasonBody(RequestBody):
    reason: Reason


class UpToBody(RequestBody):
    """As much as there is, but not more than this."""

    up_to: Amount


def _amount_shape(value: Any) -> str:
    if isinstance(value, dict):
        return SHAPE + "up_to"
    return SHAPE + ("all" if value == "all" else "fixed")


class PostingBody(RequestBody):
    debit: AccountId
    credit: AccountId
    amount: Annotated[
        Annotated[Amount, Tag(SHAPE + "fixed")]
        | Annotated[Literal["all"], Tag(SHAPE + "all")]
        | Annotated[UpToBody, Tag(SHAPE + "up_to")],
        Discriminator(_amount_shape),
    ] = Field(
        description=(
            'Minor units; `"all"` and `up_to` take what the account has without its overdraft'
        )
    )
    currency: Currency


class BalanceConditionBody(RequestBody):
    """A balance of an account, compared with an amount of any size."""

    account: AccountId
    balance: Literal["posted", "available"]
    op: Literal["eq", "gt", "gte", "lt", "lte"]
    amount: int = Field(description="Minor units, also below zero")


class VersionConditionBody(RequestBody):
    """The account is as it was read: nothing has happened on it since."""

    account: AccountId
    version: int


def _condition_shape(value: Any) -> str:
    return SHAPE + ("version" if isinstance(value, dict) and "version" in value else "balance")


ConditionBody = Annotated[
    Annotated[BalanceConditionBody, Tag(SHAPE + "balance")]
    | Annotated[VersionConditionBody, Tag(SHAPE + "version")],
    Discriminator(_condition_shape),
]


class PaymentTerms(RequestBody):
    """What every payment may be told, whoever names the account that is debited."""

    carrier: Carrier = "api"
    reference: Reference | None = Field(None, description="Not unique: the key is")
    value_date: Date | None = Field(
        None,
        description="At most 366 days from today; left out, the day (UTC) each entry is booked",
    )
    metadata: Metadata = Field(default_factory=dict)
    conditions: list[ConditionBody] = Field(
        default_factory=list,
        max_length=MAX_CONDITIONS,
        description="What must be so when the payment is decided",
    )


class PaymentBody(PaymentTerms):
    postings: list[PostingBody] = Field(min_length=1, max_length=MAX_POSTINGS)
    mode: Literal["settle", "hold"] = Field("settle", description="hold: to be captured or voided")
    hold_timeout_s: int = Field(
        604_800, ge=1, le=MAX_HOLD_S, description="How long a hold lasts; for holds only"
    )
    pay_code: None = Field(None, description="With one, a payment is a PaymentByCodeBody")
    execute_at: Time | None = Field(
        None, description="Decided then, at most 366 days ahead; not for holds"
    )

    @field_validator("hold_timeout_s")
    @classmethod
    def _of_holds(cls, value: int, sent: ValidationInfo) -> int:
        if sent.data.get("mode", "hold") != "hold":
            raise ValueError("Only a payment of mode hold has a timeout; leave it out.")
        return value

    @field_validator("execute_at")
    @classmethod
    def _not_of_holds(cls, value: datetime | None, sent: ValidationInfo) -> datetime | None:
        if value is not None and sent.data.get("mode") == "hold":
            raise ValueError("A hold is made at once; leave execute_at out, or the mode.")
        return value


class CaptureBody(RequestBody):
    amount: Amount | None = Field(
        None, description="Left out, all that is left; for payments of one posting only"
    )
    final: bool = Field(True, description="Whether it is the last: what is left is released")


class RefundBody(RequestBody):
    amount: Amount | None = Field(
        None, description="Left out, all that is left; for payments of one posting only"
    )


class EmptyBody(RequestBody):
    """Nothing more is to be said: `{}`, or no body at all."""


class QrTextBody(RequestBody):
    text: QrText = Field(description="What a QR code says")
