"""The shape of payments' own events as others get them; see application/event_data.py."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from application.event_members import (
    AccountId,
    Amounts,
    Carrier,
    Currency,
    ExpiresAt,
    Metadata,
    PaidBy,
    PaymentId,
    PaymentRequestId,
    Reference,
    RefundOf,
    RefusalData,
    TimeText,
    ValueDateSent,
)
from domain.money import MAX_AMOUNT_MINOR


class PostingData(Struct, frozen=True, gc=False):
    """An amount moved from the account it debits to the account it credits."""

    debit: Annotated[
        str,
        Meta(
            description="Id of an account; empty where a code should have named it, and didn't",
            examples=["customers:alice"],
        ),
    ]
    credit: AccountId
    amount: Annotated[
        int,
        Meta(
            ge=0,
            le=MAX_AMOUNT_MINOR,
            description="Minor units; 0 where an amount to be found was not, or not yet",
        ),
    ]
    currency: Currency


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
    payment_request: PaymentRequestId | UnsetType = UNSET
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


class PaymentPendingData(Struct, frozen=True):
    """The payment as it was asked for, held until its payer confirms it."""

    payment: PaymentId
    state: Literal["pending_confirmation"]
    mode: Annotated[str, Meta(description="Expect new values", examples=["settle"])]
    postings: list[PostingData]
    carrier: Carrier
    reference: Reference
    value_date: ValueDateSent
    metadata: Metadata
    expires_at: ExpiresAt
    paid_by: PaidBy | UnsetType = UNSET


class PaymentConfirmedData(Struct, frozen=True):
    """The payer agreed: what was held is booked."""

    payment: PaymentId
    amounts: Amounts


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
    payment_request: PaymentRequestId | UnsetType = UNSET
    paid_by: PaidBy | UnsetType = UNSET


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
