"""Events of pay codes and devices as the auditor sees them, and back: application/history.py."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import UNSET

from application.code_data import (
    CodeData,
    DeviceOnlineData,
    DeviceRegisteredData,
    DeviceRevokedData,
    PayCodeExpiredData,
    PayCodeIssuedData,
    PayCodeUsedData,
)
from domain.code_events import (
    CodeEvent,
    DeviceOnline,
    DeviceRegistered,
    DeviceRevoked,
    PayCodeExpired,
    PayCodeIssued,
    PayCodeUsed,
)
from domain.times import time_text

_AMOUNTS: Final = frozenset(
    (
        *("amount", "max_amount", "confirm_above"),
        *("per_payment_max", "offline_total_max", "offline_spent"),
    )
)


def code_data(event: CodeEvent) -> CodeData:
    stream = event.originator_id
    match event:
        case PayCodeUsed():
            by_device = event.step is not None
            return PayCodeUsedData(
                event.payment,
                event.amount_minor,
                UNSET if by_device else stream,
                stream if by_device else UNSET,
                UNSET if event.step is None else event.step,
            )
        case PayCodeIssued():
            return PayCodeIssuedData(
                stream,
                event.debit_account,
                event.currency,
                event.max_amount_minor,
                event.confirm_above_minor,
                time_text(event.expires_at),
            )
        case PayCodeExpired():
            return PayCodeExpiredData(stream)
        case DeviceRegistered():
            return DeviceRegisteredData(
                stream,
                event.handle,
                event.debit_account,
                event.currency,
                event.per_payment_max_minor,
                event.offline_total_max_minor,
            )
        case DeviceOnline():
            return DeviceOnlineData(stream, event.offline_spent_minor)
        case DeviceRevoked():
            return DeviceRevokedData(stream)


def code_fields(data: CodeData) -> dict[str, Any]:
    """The event's own fields; for its stream, the id of the pay code or device."""
    fields = {
        name: value for name, value in msgspec.structs.asdict(data).items() if value is not UNSET
    }
    named: UUID = fields.pop("pay_code", None) or fields.pop("device")
    for name in _AMOUNTS & fields.keys():
        fields[f"{name}_minor"] = fields.pop(name)
    match data:
        case PayCodeIssuedData():
            fields["expires_at"] = datetime.fromisoformat(data.expires_at)
        case PayCodeUsedData():
            fields.setdefault("step", None)
        case _:
            pass
    return fields | {"originator_id": named}
