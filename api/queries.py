"""Query parameters: their shape and bounds; unknown ones are refused."""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from api.models import ACCOUNT_ID, Carrier, Currency, Date, Reference, Time
from domain.payment_request import RequestState
from domain.registry import EVENTS
from domain.transitions import State

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 500
PREFIX: Final = r"^([A-Za-z0-9][A-Za-z0-9:._-]{0,63})?$"
MAX_POSITION: Final = 2**63 - 1

_DIGITS: Final = re.compile(r"[0-9]{1,20}", re.ASCII)


def _number(value: Any) -> Any:
    if isinstance(value, str):
        if not _DIGITS.fullmatch(value):
            raise ValueError("Write a whole number in decimal digits.")
        return int(value)
    return value


def position_number(sent: str) -> int:
    """A position as text, MAX_POSITION where it is beyond that. Raises ValueError."""
    return min(int(_number(sent)), MAX_POSITION)


_TYPES: Final[dict[str, Any]] = {"type": "string", "enum": sorted(EVENTS)}


def _known_type(value: str) -> str:
    if value not in EVENTS:
        raise ValueError("No event has this type.")
    return value


Position = Annotated[
    int,
    BeforeValidator(position_number),
    Field(ge=0),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": MAX_POSITION}),
]
QrForm = Literal["svg", "png", "text"]
Prefix = Annotated[str, Field(pattern=PREFIX, description="What the account's id begins with")]
Account = Annotated[str, Field(pattern=ACCOUNT_ID)]


class Query(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Read(Query):
    min_position: Position | None = Field(
        None, description="Wait until the read model has come to this position (see Prefer)"
    )


class Listed(Query):
    limit: Annotated[
        int,
        BeforeValidator(_number),
        Field(ge=1, le=MAX_LIMIT),
        WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}),
    ] = DEFAULT_LIMIT
    cursor: Annotated[str, Field(description="next_cursor of the page before")] | None = None

    def filters(self) -> dict[str, Any]:
        """What makes the list what it is: a cursor belongs to it."""
        return self.model_dump(exclude={"min_position", "limit", "cursor", "after"})


class Page(Listed, Read):
    pass


class AsOf(Query):
    as_of_position: Position | None = Field(None, description="As it was at this position")
    as_of: Time | None = Field(None, description="As it was at this recorded time")


class AccountsQuery(Page):
    prefix: Prefix | None = None
    status: Literal["open", "frozen", "closed"] | None = None
    currency: Currency | None = None


class CarrierQuery(Read):
    as_: Literal["qr", "barcode", "ndef", "wav"] = Field("qr", alias="as")
    image: Literal["png", "svg"] = Field("png", description="Of `qr` and `barcode`")


class BalanceQuery(AsOf, Read):
    effective_at: Date | None = Field(
        None, description="Only what has a value date up to this day, that day included"
    )


class BalancesQuery(Page):
    prefix: Prefix | None = None


class TotalsQuery(Read):
    prefix: Prefix | None = None


class TrialBalanceQuery(AsOf, Read):
    pass


class TrialBalanceAccountsQuery(AsOf, Page):
    pass


class StatementQuery(Page):
    from_: Date = Field(alias="from", description="First day (UTC)")
    to: Date = Field(description="The day after the last one")
    by: Literal["booking_date", "value_date"] = "booking_date"


class ReportQuery(Read):
    from_: Date = Field(alias="from", description="First day (UTC)")
    to: Date = Field(description="The day after the last one")


class PaymentsQuery(Page):
    account: Account | None = None
    reference: Reference | None = None
    state: State | None = Field(None, description="As of now, whatever has been recorded")
    carrier: Carrier | None = None
    created_from: Time | None = None
    created_to: Time | None = Field(None, description="Exclusive")


class PaymentRequestsQuery(Page):
    credit_account: Account | None = None
    state: RequestState | None = Field(None, description="As of now, whatever has been recorded")


class QrQuery(Read):
    as_: QrForm = Field("svg", alias="as", description="`text` is what is in the code")


class EventsQuery(Listed):
    after: Position = Field(0, description="The position before the first one wanted")
    account: Account | None = Field(None, description="Events of this account")
    payment: (
        Annotated[
            str, Field(max_length=64, description="Its own events, and what they did to accounts")
        ]
        | None
    ) = None
    type: Annotated[str, AfterValidator(_known_type), WithJsonSchema(_TYPES)] | None = None
