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

from application.code_data import (
    CodeData,
    DeviceOnlineData,
    DeviceRegisteredData,
    DeviceRevokedData,
    PayCodeExpiredData,
    PayCodeIssuedData,
    PayCodeUsedData,
    PaymentConfirmedData,
    PaymentPendingData,
)
from application.event_members import (
    AccountId,
    Amount,
    Amounts,
    Available,
    Balance,
    Carrier,
    CodeId,
    CounterAccount,
    Currency,
    DeviceId,
    ExpiresAt,
    HoldLeft,
    HoldSide,
    MaxBalance,
    Metadata,
    NormalSide,
    OverdraftLimit,
    PaidBy,
    PaymentId,
    Pending,
    PostingData,
    PostingIndex,
    Reference,
    RefundOf,
    TimeText,
    ValueDateSent,
    Version,
)
from domain.registry import EVENTS


class ActorData(Struct, frozen=True, gc=False):
    """Who caused the event."""

    caller: Annotated[str, Meta(description="The named holder of an API key")]
    key_id: str
    request_id: str


class LimitData(Struct, frozen=True, gc=False):
    """A velocity limit: at most so many payments, or so much, debited in a window."""

    window: Annotated[str, Meta(description="Expect new values", examples=["hour", "day", "month"])]
    carrier: Annotated[str | None, Meta(description="What came by it alone; null: everything")]
    max_count: Annotated[int | None, Meta(description="Payments; null is no maximum")]
    max_amount: Annotated[int | None, Meta(description="Minor units; null is no maximum")]


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
    limits: Annotated[list[LimitData], Meta(description="Velocity limits")] | UnsetType = UNSET


class AccountStatusData(Struct, frozen=True, gc=False):
    """The account was frozen, unfrozen or closed: the type says which."""

    account: AccountId
    reason: str


class EntryData(Struct, frozen=True, gc=False):
    """One side of a posting, with the account's balances right after it."""

    account: AccountId
    payment: PaymentId
    index: PostingIndex
    amount: Amount
    currency: Currency
    from_hold: Annotated[bool, Meta(description="Whether the amount had been held before")]
    posted: Balance
    pending_debit: Pending
    pending_credit: Pending
    available: Available
    value_date: Annotated[date, Meta(description="Day it counts for")]
    counter_account: CounterAccount
    reference: Reference
    carrier: Carrier
    hold_left: HoldLeft | UnsetType = UNSET
    hold_expires_at: ExpiresAt | UnsetType = UNSET


class HoldData(Struct, frozen=True, gc=False):
    """What both events of a hold tell."""

    account: AccountId
    payment: PaymentId
    index: PostingIndex
    side: HoldSide
    amount: Amount
    currency: Currency
    posted: Balance
    pending_debit: Pending
    pending_credit: Pending
    available: Available
    expires_at: ExpiresAt
    counter_account: CounterAccount


class HeldData(HoldData, frozen=True, gc=False):
    """One side of a held posting, with the account's balances right after it.

    What is pending is as of the recorded time: holds past their deadline are left out.
    """

    carrier: Carrier


class ReleasedData(HoldData, frozen=True, gc=False):
    """All that was left of one side of a held posting is held no more."""

    reason: Annotated[
        str,
        Meta(
            description="captured: the last capture took less than was left. Expect new values",
            examples=["captured", "voided", "expired", "declined", "canceled"],
        ),
    ]


class PaymentSettledData(Struct, frozen=True):
    """The payment as it was asked for; its entries are events of the accounts."""

    payment: PaymentId
    state: Literal["settled"]
    mode: Annotated[str, Meta(description="Expect new values", examples=["settle"])]
    postings: list[PostingData]
    carrier: Carrier
    reference: Reference
    value_date: ValueDateSent
    metadata: Metadata
    refund_of: RefundOf | UnsetType = UNSET
    paid_by: PaidBy | UnsetType = UNSET


class PaymentHeldData(Struct, frozen=True):
    """The payment as it was asked for; what it holds are events of the accounts."""

    payment: PaymentId
    state: Literal["held"]
    mode: Annotated[str, Meta(description="Expect new values", examples=["hold"])]
    postings: list[PostingData]
    carrier: Carrier
    reference: Reference
    value_date: ValueDateSent
    metadata: Metadata
    expires_at: ExpiresAt


class ConditionData(Struct, frozen=True, gc=False):
    """What must be so of an account for the payment to be made."""

    account: AccountId
    what: Annotated[str, Meta(examples=["posted", "available", "version"])]
    op: Annotated[str, Meta(examples=["eq", "gt", "gte", "lt", "lte"])]
    value: Annotated[str, Meta(description="An integer in decimal digits")]


class PaymentScheduledData(Struct, frozen=True):
    """The payment as it was asked for, to be decided at its time."""

    payment: PaymentId
    state: Literal["scheduled"]
    mode: Annotated[str, Meta(description="Expect new values", examples=["settle"])]
    postings: list[PostingData]
    carrier: Carrier
    reference: Reference
    value_date: ValueDateSent
    metadata: Metadata
    execute_at: Annotated[TimeText, Meta(description="When it is decided")]
    conditions: list[ConditionData]
    up_to: Annotated[
        list[Annotated[int, Meta(ge=0)]],
        Meta(description="By posting: at most so much of what the account has; 0: a fixed amount"),
    ]


class PaymentCapturedData(Struct, frozen=True):
    """All or part of what was held is booked."""

    payment: PaymentId
    amounts: Amounts
    released: Annotated[
        list[Annotated[int, Meta(ge=0)]],
        Meta(description="By posting: what the last capture left, in minor units"),
    ]
    final: Annotated[bool, Meta(description="Whether it was the last one: the payment is settled")]


class PaymentReleasedData(Struct, frozen=True):
    """What is held was voided, declined, or expired: the type says which."""

    payment: PaymentId
    released: Amounts


class PaymentRefundedData(Struct, frozen=True):
    """A refund undid the payment, in part or whole."""

    payment: PaymentId
    amounts: Amounts
    refund: Annotated[UUID, Meta(description="Id of the payment that moved it back")]


class PaymentCanceledData(Struct, frozen=True):
    """The payment, scheduled or waiting to be confirmed, is not to be made."""

    payment: PaymentId
    released: Amounts | UnsetType = UNSET


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


class PaymentRefusedData(Struct, frozen=True):
    """The payment as it was asked for: no money moved."""

    payment: PaymentId
    state: Literal["refused"]
    mode: Annotated[str, Meta(description="Expect new values", examples=["settle"])]
    postings: list[PostingData]
    carrier: Carrier
    reference: Reference
    value_date: ValueDateSent
    metadata: Metadata
    refusal: RefusalData
    refund_of: RefundOf | UnsetType = UNSET
    paid_by: PaidBy | UnsetType = UNSET


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
    limits: Annotated[list[LimitData], Meta(description="Velocity limits")]
    opened_at: TimeText


class CommandDecidedData(Struct, frozen=True):
    """What came of a command that makes no payment, also where it changed nothing."""

    command: Annotated[
        str, Meta(description="Expect new values", examples=["open_account", "capture_payment"])
    ]
    outcome: Literal["accepted", "refused"]
    refusal: RefusalData | None
    account: AccountId | UnsetType = UNSET
    account_after: Annotated[
        dict[str, Any] | UnsetType,
        Meta(
            description="The account as the command was answered with it",
            extra_json_schema={
                "properties": schema(AccountAfter)["$defs"]["AccountAfter"]["properties"]
            },
        ),
    ] = UNSET
    payment: PaymentId | UnsetType = UNSET
    pay_code: CodeId | UnsetType = UNSET
    device: DeviceId | UnsetType = UNSET


PaymentData = (
    PaymentSettledData
    | PaymentRefusedData
    | PaymentHeldData
    | PaymentScheduledData
    | PaymentCapturedData
    | PaymentReleasedData
    | PaymentRefundedData
    | PaymentCanceledData
    | PaymentPendingData
    | PaymentConfirmedData
)
"""Of events on a payment's stream."""

EventData = (
    AccountOpenedData
    | AccountChangedData
    | AccountStatusData
    | EntryData
    | HeldData
    | ReleasedData
    | CommandDecidedData
    | PaymentData
    | CodeData
)

DATA: Final[dict[str, type[EventData]]] = {
    "tally.account.opened.v1": AccountOpenedData,
    "tally.account.changed.v1": AccountChangedData,
    "tally.account.frozen.v1": AccountStatusData,
    "tally.account.unfrozen.v1": AccountStatusData,
    "tally.account.closed.v1": AccountStatusData,
    "tally.account.debited.v1": EntryData,
    "tally.account.credited.v1": EntryData,
    "tally.account.held.v1": HeldData,
    "tally.account.released.v1": ReleasedData,
    "tally.payment.settled.v1": PaymentSettledData,
    "tally.payment.refused.v1": PaymentRefusedData,
    "tally.payment.held.v1": PaymentHeldData,
    "tally.payment.scheduled.v1": PaymentScheduledData,
    "tally.payment.captured.v1": PaymentCapturedData,
    "tally.payment.voided.v1": PaymentReleasedData,
    "tally.payment.expired.v1": PaymentReleasedData,
    "tally.payment.refunded.v1": PaymentRefundedData,
    "tally.payment.canceled.v1": PaymentCanceledData,
    "tally.payment.pending.v1": PaymentPendingData,
    "tally.payment.confirmed.v1": PaymentConfirmedData,
    "tally.payment.declined.v1": PaymentReleasedData,
    "tally.pay_code.issued.v1": PayCodeIssuedData,
    "tally.pay_code.used.v1": PayCodeUsedData,
    "tally.pay_code.expired.v1": PayCodeExpiredData,
    "tally.device.registered.v1": DeviceRegisteredData,
    "tally.device.online.v1": DeviceOnlineData,
    "tally.device.revoked.v1": DeviceRevokedData,
    "tally.command.decided.v1": CommandDecidedData,
}
"""The closed registry: what `data` is, by the event's type."""

assert DATA.keys() == EVENTS.keys(), "every event has a shape"

Data = TypeVar("Data")


class EventItem(Struct, Generic[Data], frozen=True):
    """An event of the ledger."""

    position: Annotated[int, Meta(ge=1, description="Place in the ledger's one order, from 1")]
    type: str
    stream: Annotated[
        str, Meta(description="The id of its account, payment, pay code, device or command")
    ]
    version: Version
    recorded_at: TimeText
    actor: ActorData
    data: Data
