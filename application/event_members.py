"""What members of events' `data` are: each kind of value once, with its bounds and meaning."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

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
PaymentRequestId = Annotated[UUID, Meta(description="Id of a payment request")]
Reference = Annotated[str | None, Meta(description="The client's; not unique")]
Carrier = Annotated[
    str,
    Meta(
        description="How the payment came; expect new values",
        examples=["api", "qr", "barcode", "nfc", "sonic", "link"],
    ),
]
TimeText = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$",
        extra_json_schema={"format": "date-time"},
        description="RFC 3339 in UTC, six decimals",
    ),
]
PostingIndex = Annotated[
    int, Meta(ge=0, description="Number of the posting in its payment, from 0")
]
Available = Annotated[
    int | None, Meta(description="Minor units; null where the overdraft limit is unlimited")
]
CounterAccount = Annotated[str, Meta(description="Id of the account on the other side")]
HoldSide = Annotated[
    Literal["debit", "credit"], Meta(description="The side that the account is on")
]
HoldLeft = Annotated[int, Meta(ge=0, description="What is still held of its hold, in minor units")]
ExpiresAt = Annotated[
    TimeText, Meta(description="From this very microsecond on the hold counts no more")
]
Amounts = Annotated[
    list[Annotated[int, Meta(ge=0)]], Meta(description="By posting, in minor units")
]
Version = Annotated[int, Meta(ge=1, description="Number of the event in its stream, from 1")]
RefundOf = Annotated[UUID, Meta(description="Id of the payment that it undoes")]
Revision = Annotated[int, Meta(ge=1, description="One more with each change, from 1")]
ValueDateSent = Annotated[
    date | None, Meta(description="As sent; null is the day each entry is booked")
]
CodeId = Annotated[UUID, Meta(description="Id of a pay code")]
DeviceId = Annotated[UUID, Meta(description="Id of a device")]
PaidBy = Annotated[
    UUID, Meta(description="Id of the pay code, or of the device, that named the payer")
]


class LimitData(Struct, frozen=True, gc=False):
    """A velocity limit: at most so many payments, or so much, debited in a window."""

    window: Annotated[str, Meta(description="Expect new values", examples=["hour", "day", "month"])]
    carrier: Annotated[str | None, Meta(description="What came by it alone; null: everything")]
    max_count: Annotated[int | None, Meta(description="Payments; null is no maximum")]
    max_amount: Annotated[int | None, Meta(description="Minor units; null is no maximum")]


class RefusalData(Struct, frozen=True, gc=False):
    """Why it was refused, and what that is about."""

    code: Annotated[
        str, Meta(description="Stable; expect new values", examples=["insufficient_funds"])
    ]
    account: AccountId | UnsetType = UNSET
    index: (
        Annotated[int, Meta(ge=0, description="Number of the posting or condition")] | UnsetType
    ) = UNSET
    limit: Annotated[LimitData, Meta(description="The velocity limit")] | UnsetType = UNSET
    frees_at: (
        Annotated[str | None, Meta(description="When it would fit; null: never")] | UnsetType
    ) = UNSET
    revision: Revision | UnsetType = UNSET
