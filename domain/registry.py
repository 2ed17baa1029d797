"""Every event the ledger records, by its permanent topic."""

from typing import Final

from eventsourcing.utils import register_topic

from domain.code_events import (
    DeviceOnline,
    DeviceRegistered,
    DeviceRevoked,
    PayCodeExpired,
    PayCodeIssued,
    PayCodeUsed,
)
from domain.confirmation_events import PaymentConfirmed, PaymentDeclined, PaymentPending
from domain.events import (
    AccountChanged,
    AccountClosed,
    AccountCredited,
    AccountDebited,
    AccountFrozen,
    AccountHeld,
    AccountOpened,
    AccountReleased,
    AccountUnfrozen,
    CommandDecided,
    LedgerEvent,
    PaymentCanceled,
    PaymentCaptured,
    PaymentExpired,
    PaymentHeld,
    PaymentRefunded,
    PaymentRefused,
    PaymentScheduled,
    PaymentSettled,
    PaymentVoided,
)
from domain.request_events import (
    PaymentRequestCanceled,
    PaymentRequestChanged,
    PaymentRequestExpired,
    PaymentRequestOpened,
    PaymentRequestPaid,
)

EVENTS: Final[dict[str, type[LedgerEvent]]] = {
    event.TOPIC: event
    for event in (
        AccountOpened,
        AccountChanged,
        AccountFrozen,
        AccountUnfrozen,
        AccountClosed,
        AccountDebited,
        AccountCredited,
        AccountHeld,
        AccountReleased,
        PaymentSettled,
        PaymentRefused,
        PaymentHeld,
        PaymentScheduled,
        PaymentCaptured,
        PaymentVoided,
        PaymentExpired,
        PaymentRefunded,
        PaymentCanceled,
        PaymentRequestOpened,
        PaymentRequestChanged,
        PaymentRequestPaid,
        PaymentRequestCanceled,
        PaymentRequestExpired,
        PaymentPending,
        PaymentConfirmed,
        PaymentDeclined,
        PayCodeIssued,
        PayCodeUsed,
        PayCodeExpired,
        DeviceRegistered,
        DeviceOnline,
        DeviceRevoked,
        CommandDecided,
    )
}
"""The closed registry: a stored topic that is not here is not loaded."""

for _topic, _event in EVENTS.items():
    register_topic(_topic, _event)
