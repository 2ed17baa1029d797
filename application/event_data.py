"""The shape of an event as others get it: items of `GET /v1/events`, values of Kafka records.

One struct per form of `data`. Their JSON Schemas are what consumers build on, for ever, and
records written years ago are read with them: a member added later has a default and nothing
else ever changes (tests/golden/test_schemas.py). What is UNSET is not in the JSON. Texts that
get new values with new features (carrier, mode, codes) are no enums: only what is closed by its
meaning is.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final, Generic, Literal, TypeVar
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.json import schema

from domain.events import EVENTS
from domain.money import MAX_AMOUNT_MINOR, MAX_BALANCE_MINOR, MIN_BALANCE_MINOR

AccountId = Annotated[str, Meta(description="Id of an account", examples=["customers:alice"])]
Currency = Annotated[
    str, Meta(description="ISO 4217 alphabetic code; says what a minor unit is", examples=["EUR"])
]
Amount = Annotated[int, Meta(ge=1, le=MAX_AMOUNT_MINOR, description="Minor units of the currency")]
Balance = Annotated[
    int,
    Meta(ge=MIN_BALANCE_MINOR, le=MAX_BALANCE_MINOR, description="Minor units of the currency"),
]
Pending = Annotated[
    int, Meta(ge=0, le=MAX_BALANCE_MINOR, description="Minor units reserved by open holds")
]
OverdraftLimit = Annotated[
    Annotated[int, Meta(ge=0)] | None, Meta(description="Minor units; null is unlimited")
]
MaxBalance = Annotated[
    Annotated[int, Meta(ge=0)] | None, Meta(description="Minor units; null is no maximum")
]
NormalSide = Annotated[
    Literal["credit", "debit"],
    Meta(description="The side that raises its balance: credit is credits - debits"),
]
Metadata = Annotated[dict[str, str], Meta(description="The client's own pairs of text")]
PaymentId = Annotated[UUID, Meta(description="Id of a payment")]
Reference = Annotated[str | None, Meta(description="The client's; not unique")]
Carrier = Annotated[
    str,
    Meta(
        description="How the payment came; expect new values",
        examples=["api", "qr", "barcode", "nfc", "sonic", "link"],
    ),
]
Version = Annotated[int, Meta(ge=1, description="Number of the event in its stream, from 1")]
TimeText = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$",
        extra_json_schema={"format": "date-time"},
        description="RFC 3339 in UTC, six decimals",
    ),
]


class ActorData(Struct, frozen=True, gc=False):
    """Who caused the event."""

    caller: Annotated[str, Meta(description="The named holder of an API key")]
    key_id: str
    request_id: str


class AccountOpenedData(Struct, frozen=True):
    account: AccountId
    currency: Currency
    normal_side: NormalSide
    overdraft_limit: OverdraftLimit
    max_balance: MaxBalance
    metadata: Metadata


class AccountChangedData(Struct, frozen=True):
    """New values of what changed; what is absent stayed as it was."""

    account: AccountId
    overdraft_limit: OverdraftLimit | UnsetType = UNSET
    max_balance: MaxBalance | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class AccountStatusData(Struct, frozen=True, gc=False):
    """The account was frozen, unfrozen or closed: the type says which."""

    account: AccountId
    reason: str


class EntryData(Struct, frozen=True, gc=False):
    """One side of a posting, with the account's balances right after it."""

    account: AccountId
    payment: PaymentId
    index: Annotated[int, Meta(ge=0, description="Number of the posting in its payment, from 0")]
    amount: Amount
    currency: Currency
    from_hold: Annotated[bool, Meta(description="Whether the amount had been held before")]
    posted: Balance
    pending_debit: Pending
    pending_credit: Pending
    available: Annotated[
        int | None, Meta(description="Minor units; null where the overdraft limit is unlimited")
    ]
    value_date: Annotated[date, Meta(description="Day it counts for")]
    counter_account: Annotated[str, Meta(description="Id of the account on the other side")]
    reference: Reference
    carrier: Carrier


class PostingData(Struct, frozen=True, gc=False):
    """An amount moved from the account it debits to the account it credits."""

    debit: AccountId
    credit: AccountId
    amount: Amount
    currency: Currency


class PaymentSettledData(Struct, frozen=True):
    """The payment as it was asked for; its entries are events of the accounts."""

    payment: PaymentId
    state: Literal["settled"]
    mode: Annotated[str, Meta(description="Expect new values", examples=["settle"])]
    postings: list[PostingData]
    carrier: Carrier
    reference: Reference
    value_date: Annotated[
        date | None, Meta(description="As sent; null is the day each entry is booked")
    ]
    metadata: Metadata


class RefusalData(Struct, frozen=True, gc=False):
    """Why it was refused, and what that is about."""

    code: Annotated[
        str, Meta(description="Stable; expect new values", examples=["insufficient_funds"])
    ]
    account: AccountId | UnsetType = UNSET
    index: Annotated[int, Meta(ge=0, description="Number of the posting")] | UnsetType = UNSET


class PaymentRefusedData(Struct, frozen=True):
    """The payment as it was asked for: no money moved."""

    payment: PaymentId
    state: Literal["refused"]
    mode: Annotated[str, Meta(description="Expect new values", examples=["settle"])]
    postings: list[PostingData]
    carrier: Carrier
    reference: Reference
    value_date: Annotated[date | None, Meta(description="As sent")]
    metadata: Metadata
    refusal: RefusalData


class AccountAfter(Struct):
    """What `account_after` holds: not decoded, but passed on as it was recorded."""

    id: AccountId
    currency: Currency
    normal_side: NormalSide
    overdraft_limit: OverdraftLimit
    max_balance: MaxBalance
    metadata: Metadata
    status: Annotated[str, Meta(examples=["open", "frozen", "closed"])]
    version: Version
    limits: Annotated[list[dict[str, Any]], Meta(description="Velocity limits")]
    opened_at: TimeText


class CommandDecidedData(Struct, frozen=True):
    """What came of a command that makes no payment, also where it changed nothing."""

    command: Annotated[
        str, Meta(description="Expect new values", examples=["open_account", "freeze_account"])
    ]
    account: AccountId
    outcome: Literal["accepted", "refused"]
    refusal: RefusalData | None
    account_after: Annotated[
        dict[str, Any],
        Meta(
            description="The account as the command was answered with it",
            extra_json_schema={
                "properties": schema(AccountAfter)["$defs"]["AccountAfter"]["properties"]
            },
        ),
    ]


EventData = (
    AccountOpenedData
    | AccountChangedData
    | AccountStatusData
    | EntryData
    | PaymentSettledData
    | PaymentRefusedData
    | CommandDecidedData
)

DATA: Final[dict[str, type[EventData]]] = {
    "tally.account.opened.v1": AccountOpenedData,
    "tally.account.changed.v1": AccountChangedData,
    "tally.account.frozen.v1": AccountStatusData,
    "tally.account.unfrozen.v1": AccountStatusData,
    "tally.account.closed.v1": AccountStatusData,
    "tally.account.debited.v1": EntryData,
    "tally.account.credited.v1": EntryData,
    "tally.payment.settled.v1": PaymentSettledData,
    "tally.payment.refused.v1": PaymentRefusedData,
    "tally.command.decided.v1": CommandDecidedData,
}
"""The closed registry: what `data` is, by the event's type."""

assert DATA.keys() == EVENTS.keys(), "every event has a shape"

Data = TypeVar("Data")


class EventItem(Struct, Generic[Data], frozen=True):
    """An event of the ledger."""

    position: Annotated[int, Meta(ge=1, description="Place in the ledger's one order, from 1")]
    type: str
    stream: Annotated[str, Meta(description="The id of its account, payment or command")]
    version: Version
    recorded_at: TimeText
    actor: ActorData
    data: Data
