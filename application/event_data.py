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
)
from application.event_members import (
    AccountId,
    Amount,
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
    LimitData,
    MaxBalance,
    Metadata,
    NormalSide,
    OverdraftLimit,
    PaymentId,
    PaymentRequestId,
    Pending,
    PostingIndex,
    Reference,
    RefusalData,
    TimeText,
    Version,
)
from application.payment_data import (
    PaymentCanceledData,
    PaymentCapturedData,
    PaymentConfirmedData,
    PaymentData,
    PaymentHeldData,
    PaymentPendingData,
    PaymentRefundedData,
    PaymentRefusedData,
    PaymentReleasedData,
    PaymentScheduledData,
    PaymentSettledData,
)
from application.request_data import (
    PaymentRequestChangedData,
    PaymentRequestData,
    PaymentRequestEndedData,
    PaymentRequestOpenedData,
    PaymentRequestPaidData,
)
from domain.registry import EVENTS


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
    payment_request: PaymentRequestId | UnsetType = UNSET
    pay_code: CodeId | UnsetType = UNSET
    device: DeviceId | UnsetType = UNSET


EventData = (
    AccountOpenedData
    | AccountChangedData
    | AccountStatusData
    | EntryData
    | HeldData
    | ReleasedData
    | CommandDecidedData
    | PaymentData
    | PaymentRequestData
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
    "tally.payment_request.opened.v1": PaymentRequestOpenedData,
    "tally.payment_request.changed.v1": PaymentRequestChangedData,
    "tally.payment_request.paid.v1": PaymentRequestPaidData,
    "tally.payment_request.canceled.v1": PaymentRequestEndedData,
    "tally.payment_request.expired.v1": PaymentRequestEndedData,
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
        str,
        Meta(
            description="The id of its account, payment, payment request, pay code, device or "
            "command"
        ),
    ]
    version: Version
    recorded_at: TimeText
    actor: ActorData
    data: Data
