"""Payment requests' events as the auditor sees them, and back again: application/history.py."""

from datetime import datetime
from typing import Any, assert_never

import msgspec

from application.request_data import (
    PaymentRequestChangedData,
    PaymentRequestData,
    PaymentRequestEndedData,
    PaymentRequestOpenedData,
    PaymentRequestPaidData,
)
from domain.request_events import (
    PaymentRequestCanceled,
    PaymentRequestChanged,
    PaymentRequestEvent,
    PaymentRequestExpired,
    PaymentRequestOpened,
    PaymentRequestPaid,
)
from domain.times import time_text


def request_data(event: PaymentRequestEvent) -> PaymentRequestData:
    request = event.originator_id
    match event:
        case PaymentRequestOpened():
            return PaymentRequestOpenedData(
                request,
                event.credit_account,
                event.amount_minor,
                event.currency,
                event.reference,
                event.description,
                event.metadata,
                event.expires_in_s,
                time_text(event.expires_at),
                event.token_key,
            )
        case PaymentRequestChanged():
            return PaymentRequestChangedData(
                request,
                event.revision,
                event.amount_minor,
                event.description,
                event.expires_in_s,
                time_text(event.expires_at),
            )
        case PaymentRequestPaid():
            return PaymentRequestPaidData(
                request, event.payment, event.revision, event.amount_minor
            )
        case PaymentRequestCanceled() | PaymentRequestExpired():
            return PaymentRequestEndedData(request)
        case _:
            assert_never(event)


def request_fields(data: PaymentRequestData) -> dict[str, Any]:
    """The event's own fields; for its stream, the request's id."""
    fields = msgspec.structs.asdict(data)
    fields["originator_id"] = fields.pop("payment_request")
    if "amount" in fields:
        fields["amount_minor"] = fields.pop("amount")
    if isinstance(data, PaymentRequestOpenedData | PaymentRequestChangedData):
        fields["expires_at"] = datetime.fromisoformat(data.expires_at)
    return fields
