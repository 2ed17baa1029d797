"""The shape of payment requests' events as others get them; see application/event_data.py."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from application.event_members import (
    AccountId,
    Amount,
    Currency,
    Metadata,
    PaymentId,
    PaymentRequestId,
    Reference,
    Revision,
    TimeText,
)

AmountAsked = Annotated[Amount | None, Meta(description="Minor units; null is the payer's choice")]
Description = Annotated[str | None, Meta(description="What the payer is shown")]
ExpiresInS = Annotated[int, Meta(ge=1, description="How long it waits, in seconds")]
Deadline = Annotated[TimeText, Meta(description="From this very microsecond on it can't be paid")]


class PaymentRequestOpenedData(Struct, frozen=True, gc=False):
    """A shop's order that waits for a payer: its first revision."""

    payment_request: PaymentRequestId
    credit_account: AccountId
    amount: AmountAsked
    currency: Currency
    reference: Reference
    description: Description
    metadata: Metadata
    expires_in_s: ExpiresInS
    expires_at: Deadline
    token_key: Annotated[
        str, Meta(description="Which of the server's secrets its token is made with")
    ]


class PaymentRequestChangedData(Struct, frozen=True, gc=False):
    """All that a change may touch, as it is after it."""

    payment_request: PaymentRequestId
    revision: Revision
    amount: AmountAsked
    description: Description
    expires_in_s: ExpiresInS
    expires_at: Deadline


class PaymentRequestPaidData(Struct, frozen=True, gc=False):
    """A payment of the same command paid it."""

    payment_request: PaymentRequestId
    payment: PaymentId
    revision: Revision
    amount: Amount


class PaymentRequestEndedData(Struct, frozen=True, gc=False):
    """It was canceled, or expired: the type says which."""

    payment_request: PaymentRequestId


PaymentRequestData = (
    PaymentRequestOpenedData
    | PaymentRequestChangedData
    | PaymentRequestPaidData
    | PaymentRequestEndedData
)
