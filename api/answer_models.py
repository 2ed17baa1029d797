"""What answers look like: the schemas of the OpenAPI document, held to the answers by a test."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from api.models import AccountId, Carrier, Currency
from domain.payment_request import RequestState
from domain.registry import EVENTS
from domain.transitions import State

# No answer has a member that its schema doesn't name, and none is ever left out.
Minor = Annotated[int, Field(description="Minor units")]
Position = Annotated[int, Field(ge=0, description="Place in the ledger's one order")]
TimeText = Annotated[
    str,
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "pattern": r"^[0-9-]{10}T[0-9:]{8}\.[0-9]{6}Z$",
        }
    ),
]
DateText = Annotated[str, WithJsonSchema({"type": "string", "format": "date"})]
PaymentId = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]
Side = Literal["credit", "debit"]
NextCursor = Annotated[str | None, Field(description="Null on the last page")]


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class VelocityLimit(Answer):
    window: Literal["hour", "day", "month"]
    carrier: Carrier | None
    max_count: int | None
    max_amount: Minor | None


class Account(Answer):
    id: AccountId
    currency: Currency
    normal_side: Side
    overdraft_limit: Minor | None
    max_balance: Minor | None
    metadata: dict[str, str]
    status: Literal["open", "frozen", "closed"]
    version: int = Field(description="Events in its stream")
    limits: list[VelocityLimit]
    opened_at: TimeText
    position: Position


class Posting(Answer):
    debit: AccountId | None = Field(
        description="Null where a code should have named it, and didn't"
    )
    credit: AccountId
    amount: Minor
    currency: Currency
    captured: Minor
    refunded: Minor


class AccountBalance(Answer):
    account: AccountId
    currency: Currency
    posted: Minor
    pending_debit: Minor
    pending_credit: Minor
    available: Minor | None


class Refusal(Answer):
    code: str
    account: AccountId | None = None
    index: int | None = Field(None, description="Number of the posting or condition, from 0")
    limit: VelocityLimit | None = None
    frees_at: TimeText | None = Field(None, description="When it would fit; null is never")


class Payment(Answer):
    id: PaymentId
    state: State
    mode: Literal["settle", "hold"]
    postings: list[Posting]
    reference: str | None
    carrier: Carrier
    value_date: DateText = Field(
        description="As sent; left out, the day (UTC) it was made, or is executed if scheduled"
    )
    metadata: dict[str, str]
    created_at: TimeText
    hold_expires_at: TimeText | None
    confirm_expires_at: TimeText | None = Field(
        description="Until when its payer can confirm it, or could; null where nobody had to"
    )
    refund_of: PaymentId | None
    payment_request: PaymentId | None = Field(description="Id of the one that it pays")
    position: Position
    refusal: Refusal | None = None


class PaymentMade(Payment):
    balances: list[AccountBalance] = Field(
        description="Of every account concerned, right after the command"
    )


class PaymentRequest(Answer):
    id: PaymentId
    state: RequestState = Field(description="As of now, by its deadline")
    revision: int = Field(description="From 1; one more with each change")
    credit_account: AccountId
    amount: Minor | None = Field(description="Minor units; null is the payer's choice")
    currency: Currency
    reference: str | None
    description: str | None
    metadata: dict[str, str]
    expires_in_s: int
    expires_at: TimeText
    url: str | None = Field(
        description="Open to whoever has it: the signed order. Null: its secret is gone"
    )
    qr_text: str | None = Field(
        description="What its QR code says; null where that can't hold the amount"
    )
    payment_id: PaymentId | None = Field(description="The payment that paid it")
    created_at: TimeText
    position: Position


class BulkAnswer(Answer):
    """A line's answer: beside these the payment's members, or the problem's."""

    model_config = ConfigDict(extra="allow")

    status: int = Field(description="As a payment sent singly is answered: 201, 400, 422 ...")
    replayed: bool


class Balance(Answer):
    account: AccountId
    currency: Currency
    normal_side: Side
    posted: Minor
    pending_debit: Minor
    pending_credit: Minor
    available: Minor | None
    version: int
    position: Position


class Hold(Answer):
    payment_id: PaymentId
    side: Side = Field(description="Which side of the posting is this account's")
    amount: Minor = Field(description="Minor units, as held at first")
    captured: Minor
    currency: Currency
    counter_account: AccountId
    expires_at: TimeText


class Total(Answer):
    currency: Currency
    normal_side: Side
    posted: Minor
    pending_debit: Minor
    pending_credit: Minor
    accounts: int


class Totals(Answer):
    items: list[Total]
    position: Position


class CurrencyTotals(Answer):
    currency: Currency
    total_debits: Minor
    total_credits: Minor


class TrialBalance(Answer):
    position: Position
    balanced: bool
    currencies: list[CurrencyTotals]


class TrialBalanceLine(Answer):
    account: AccountId
    currency: Currency
    debit: Minor
    credit: Minor


class Entry(Answer):
    position: Position
    recorded_at: TimeText
    booking_date: DateText
    value_date: DateText
    payment_id: PaymentId
    side: Side
    amount: Minor
    balance: Minor
    counter_accounts: list[AccountId]
    reference: str | None


class Statement(Answer):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    account: AccountId
    currency: Currency
    from_: DateText = Field(alias="from")
    to: DateText
    by: Literal["booking_date", "value_date"]
    opening_balance: Minor
    entries: list[Entry]
    closing_balance: Minor
    total_debits: Minor
    total_credits: Minor
    position: Position
    next_cursor: NextCursor


class Actor(Answer):
    caller: str
    key_id: str
    request_id: str


class Event(Answer):
    position: Position
    type: Annotated[str, Field(json_schema_extra={"enum": sorted(EVENTS)})]
    stream: str = Field(
        description="The id of its account, payment, payment request, pay code, device or command"
    )
    version: int
    recorded_at: TimeText
    actor: Actor
    data: dict[str, object]


class TimelineItem(Answer):
    position: Position
    recorded_at: TimeText
    type: str
    actor: Actor
    amount: Minor | None


class ListAnswer(Answer):
    next_cursor: NextCursor
    position: Position


class Accounts(ListAnswer):
    items: list[Account]


class Balances(ListAnswer):
    items: list[Balance]


class Holds(ListAnswer):
    items: list[Hold]


class TrialBalanceLines(ListAnswer):
    items: list[TrialBalanceLine]


class PaymentRequests(ListAnswer):
    items: list[PaymentRequest]


class Payments(ListAnswer):
    items: list[Payment]


class Events(ListAnswer):
    items: list[Event]


class Timeline(ListAnswer):
    items: list[TimelineItem]


class QrRead(Answer):
    """The members beside `kind` are those of its kind; the others are not there."""

    kind: Literal["emvco", "url", "pay_code"]
    fields: dict[str, str | dict[str, str]] | None = Field(
        None, description="Of `emvco`: every field by its id, a template as its own fields"
    )
    currency: Currency | None = Field(None, description="Of `emvco`; null where none is known")
    amount: Minor | None = Field(None, description="Of `emvco`; null where the payer chooses")
    token: str | None = Field(None, description="Of `url`: the payment request's")


class CodeRead(Answer):
    code: str = Field(pattern="^[0-9]{24}$")


class Lag(Answer):
    position: Position
    lag: int = Field(description="Positions behind the end of the store")
    lag_s: float = Field(description="Seconds that the oldest event it lacks has been recorded")


class Status(Answer):
    end: Position
    projections: dict[str, Lag]
    mirror: Lag | None


class Ready(Answer):
    status: Literal["ok"]


class InvalidPart(Answer):
    pointer: str | None = Field(None, description="RFC 6901 pointer into the body")
    parameter: str | None = Field(None, description="Name of a query parameter")
    code: str
    detail: str


class PublicKey(Answer):
    crv: Literal["Ed25519"]
    kty: Literal["OKP"]
    x: str
    kid: str
    alg: Literal["EdDSA"]
    use: Literal["sig"]


class PublicKeys(Answer):
    keys: list[PublicKey]


class ProblemDocument(BaseModel):
    """RFC 9457. Members of its own name what it is about: `account`, `index`, `position` ..."""

    model_config = ConfigDict(extra="allow", title="Problem")

    type: str
    title: str
    status: int
    detail: str = Field(description="What to do next")
    code: str = Field(description="Stable")
    request_id: str
    errors: list[InvalidPart] | None = None
    revision: int | None = Field(None, description="Of `revision_changed`: the present one")
    line: int | None = Field(None, description="Of `bulk_refused`: the line, from 0")
    problem: dict[str, object] | None = Field(
        None, description="Of `bulk_refused`: the problem that the line has, a document like this"
    )
