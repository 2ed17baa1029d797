"""Payments' own events as the auditor sees them, and back again: application/history.py."""

from datetime import datetime
from typing import Any, Final, assert_never
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from application.event_members import RefusalData
from application.payment_data import (
    ConditionData,
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
    PostingData,
)
from domain.confirmation_events import PaymentConfirmed, PaymentDeclined, PaymentPending
from domain.events import (
    Condition,
    PaymentCanceled,
    PaymentCaptured,
    PaymentDecided,
    PaymentExpired,
    PaymentHeld,
    PaymentRefunded,
    PaymentRefused,
    PaymentScheduled,
    PaymentSettled,
    PaymentVoided,
    Posting,
)
from domain.payment import PaymentStep
from domain.times import time_text

NO_FINGERPRINT: Final = b""
"""Stands for a request's fingerprint, which no item tells."""


def payment_data(event: PaymentDecided | PaymentStep) -> PaymentData:
    payment = event.originator_id
    match event:
        case PaymentDecided():
            return _decided_data(event)
        case PaymentCaptured():
            return PaymentCapturedData(payment, [*event.amounts], [*event.released], event.final)
        case PaymentVoided() | PaymentExpired() | PaymentDeclined():
            return PaymentReleasedData(payment, [*event.released])
        case PaymentRefunded():
            return PaymentRefundedData(payment, [*event.amounts], event.refund)
        case PaymentCanceled():
            return PaymentCanceledData(
                payment, UNSET if event.released is None else [*event.released]
            )
        case PaymentConfirmed():
            return PaymentConfirmedData(payment, [*event.amounts])
        case _:
            assert_never(event)


def _decided_data(event: PaymentDecided) -> PaymentData:
    """A payment as it was asked for, and what became of it at once."""

    told: dict[str, Any] = {
        "payment": event.originator_id,
        "mode": event.mode,
        "postings": [PostingData(*posting) for posting in event.postings],
        "carrier": event.carrier,
        "reference": event.reference,
        "value_date": event.value_date,
        "metadata": event.metadata,
    }

    match event:
        case PaymentSettled():
            return PaymentSettledData(**told, state="settled", **_linked(event))
        case PaymentRefused():
            refusal = RefusalData(**event.refusal)
            return PaymentRefusedData(**told, state="refused", refusal=refusal, **_linked(event))
        case PaymentHeld():
            return PaymentHeldData(**told, state="held", expires_at=time_text(event.expires_at))
        case PaymentPending():
            return PaymentPendingData(
                **told,
                state="pending_confirmation",
                expires_at=time_text(event.expires_at),
                paid_by=event.paid_by or UNSET,
            )
        case PaymentScheduled():
            return PaymentScheduledData(
                **told,
                state="scheduled",
                execute_at=time_text(event.execute_at),
                conditions=[ConditionData(*condition) for condition in event.conditions],
                up_to=[*event.up_to],
            )
        case _:
            raise AssertionError(f"{event.TOPIC} has no item")


def _linked(event: PaymentSettled | PaymentRefused) -> dict[str, Any]:
    return {
        "refund_of": event.refund_of or UNSET,
        "payment_request": event.payment_request or UNSET,
        "paid_by": event.paid_by or UNSET,
    }


# And back ---------------------------------------------------------------------------------


def payment_fields(data: PaymentData) -> dict[str, Any]:
    """The event's own fields; for its stream, the payment's id."""
    fields = msgspec.structs.asdict(data)
    fields["originator_id"] = fields.pop("payment")
    match data:
        case PaymentCapturedData() | PaymentReleasedData() | PaymentRefundedData():
            return _amounts(fields)
        case PaymentCanceledData() | PaymentConfirmedData():
            return _amounts(fields)
        case _:
            return _decided_fields(fields, data)


def _amounts(fields: dict[str, Any]) -> dict[str, Any]:
    for name in ("amounts", "released"):
        if name in fields:
            told = fields[name]
            fields[name] = None if told is UNSET else tuple(told)
    return fields


def _decided_fields(
    fields: dict[str, Any],
    data: PaymentSettledData
    | PaymentRefusedData
    | PaymentHeldData
    | PaymentScheduledData
    | PaymentPendingData,
) -> dict[str, Any]:
    del fields["state"]
    fields["fingerprint"] = NO_FINGERPRINT
    fields["postings"] = tuple(
        [Posting(each.debit, each.credit, each.amount, each.currency) for each in data.postings]
    )
    match data:
        case PaymentSettledData() | PaymentRefusedData():
            fields["refund_of"] = _told(data.refund_of)
            fields["payment_request"] = _told(data.payment_request)
            fields["paid_by"] = _told(data.paid_by)
            if isinstance(data, PaymentRefusedData):
                fields["refusal"] = msgspec.to_builtins(data.refusal)
        case PaymentHeldData():
            fields["expires_at"] = datetime.fromisoformat(data.expires_at)
        case PaymentPendingData():
            fields["expires_at"] = datetime.fromisoformat(data.expires_at)
            fields["paid_by"] = _told(data.paid_by)
        case PaymentScheduledData():
            fields["execute_at"] = datetime.fromisoformat(data.execute_at)
            fields["conditions"] = tuple(
                Condition(each.account, each.what, each.op, each.value) for each in data.conditions
            )
            fields["up_to"] = tuple(data.up_to)
        case _:
            assert_never(data)
    return fields


def _told(id: UUID | UnsetType) -> UUID | None:
    return None if id is UNSET else id
