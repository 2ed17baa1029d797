"""An event as the auditor sees it, the item of `GET /v1/events`, and back again."""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from application.code_data import CodeData
from application.code_history import code_data, code_fields
from application.event_data import (
    DATA,
    AccountChangedData,
    AccountOpenedData,
    AccountStatusData,
    ActorData,
    CommandDecidedData,
    EntryData,
    EventData,
    EventItem,
    HeldData,
    ReleasedData,
)
from application.event_members import RefusalData
from application.payment_data import PaymentData
from application.payment_history import NO_FINGERPRINT, payment_data, payment_fields
from application.request_data import PaymentRequestData
from application.request_history import request_data, request_fields
from domain.aggregate import event_with
from domain.code_events import CodeEvent, DeviceRegistered
from domain.events import (
    AccountChanged,
    AccountClosed,
    AccountCredited,
    AccountDebited,
    AccountFrozen,
    AccountHeld,
    AccountHold,
    AccountOpened,
    AccountReleased,
    AccountUnfrozen,
    Actor,
    CommandDecided,
    LedgerEvent,
    PaymentDecided,
)
from domain.ids import account_stream
from domain.payment import PaymentStep
from domain.registry import EVENTS
from domain.request_events import PaymentRequestEvent
from domain.times import time_text

NO_COMMAND: Final = UUID(int=0)
"""Stands for the command of an account's own events, which an item doesn't tell."""

_encoder: Final = msgspec.json.Encoder()
_items: Final = msgspec.json.Decoder(EventItem[msgspec.Raw])
_data_of: Final[dict[str, Callable[[msgspec.Raw], EventData]]] = {
    topic: msgspec.json.Decoder(data).decode for topic, data in DATA.items()
}
_account_stream: Final = lru_cache(maxsize=100_000)(account_stream)
"""A hash of names costs as much as the rest of an event."""


class UnreadableItem(Exception):
    """A value that is no item of an event, or not what its type says."""


class UnknownItemType(UnreadableItem):
    """An item of a type that is not in the closed registry: the software is older than it."""


# To others --------------------------------------------------------------------------------


def event_item(position: int, event: LedgerEvent) -> dict[str, Any]:
    """The event as JSON members; `stream` and `data` carry names, never internal ids."""
    item: dict[str, Any] = msgspec.to_builtins(recorded_item(position, event))
    return item


def event_json(position: int, event: LedgerEvent) -> bytes:
    """The item as compact JSON, byte for byte that of `event_item`."""
    return _encoder.encode(recorded_item(position, event))


def recorded_item(position: int, event: LedgerEvent) -> EventItem[EventData]:
    """The item as a struct, which `msgspec.json` writes as it writes `event_item`."""
    return EventItem(
        position,
        event.TOPIC,
        stream_name(event),
        event.originator_version,
        time_text(event.timestamp),
        ActorData(*event.actor),
        _data(event),
    )


def stream_name(event: LedgerEvent) -> str:
    """The id of what the event's stream is of: an account, a payment, a command …"""
    account = getattr(event, "account", None)
    if account is None or isinstance(event, CommandDecided):
        return str(event.originator_id)
    return str(account)


def _data(event: LedgerEvent) -> EventData:
    match event:
        case AccountDebited() | AccountCredited():
            return EntryData(
                event.account,
                event.payment,
                event.index,
                event.amount_minor,
                event.currency,
                event.from_hold,
                event.posted,
                event.pending_debit,
                event.pending_credit,
                event.available,
                event.value_date,
                event.counter_account,
                event.reference,
                event.carrier,
                UNSET if event.hold_left is None else event.hold_left,
                _time_or_unset(event.hold_expires_at),
            )
        case AccountHeld():
            return HeldData(**_hold(event), carrier=event.carrier)
        case AccountReleased():
            return ReleasedData(**_hold(event), reason=event.reason)
        case PaymentDecided():
            return payment_data(event)
        case _ if isinstance(event, PaymentStep):
            return payment_data(event)
        case _:
            return _account_data(event)


def _account_data(event: LedgerEvent) -> EventData:
    """The rarer ones."""
    match event:
        case AccountOpened():
            return AccountOpenedData(
                event.account,
                event.currency,
                event.normal_side,
                event.overdraft_limit,
                event.max_balance,
                event.metadata,
            )
        case AccountChanged():
            return AccountChangedData(event.account, **event.changed)
        case AccountFrozen() | AccountUnfrozen() | AccountClosed():
            return AccountStatusData(event.account, event.reason)
        case CommandDecided():
            return CommandDecidedData(
                event.name,
                event.outcome,
                RefusalData(**event.refusal) if event.refusal else None,
                UNSET if event.account is None else event.account,
                UNSET if event.account_after is None else event.account_after,
                UNSET if event.payment is None else event.payment,
                UNSET if event.payment_request is None else event.payment_request,
                UNSET if event.pay_code is None else event.pay_code,
                UNSET if event.device is None else event.device,
            )
        case _ if isinstance(event, PaymentRequestEvent):
            return request_data(event)
        case _ if isinstance(event, CodeEvent):
            return code_data(event)
        case _:
            raise AssertionError(f"{event.TOPIC} has no item")


def _hold(event: AccountHold) -> dict[str, Any]:
    return {
        "account": event.account,
        "payment": event.payment,
        "index": event.index,
        "side": event.side,
        "amount": event.amount_minor,
        "currency": event.currency,
        "posted": event.posted,
        "pending_debit": event.pending_debit,
        "pending_credit": event.pending_credit,
        "available": event.available,
        "expires_at": time_text(event.expires_at),
        "counter_account": event.counter_account,
    }


def _time_or_unset(at: datetime | None) -> str | UnsetType:
    return UNSET if at is None else time_text(at)


# And back ---------------------------------------------------------------------------------


def event_of(value: bytes, *, ledger: str) -> tuple[int, LedgerEvent]:
    """Position and event of an item's JSON. Raises UnreadableItem, UnknownItemType.

    Members that this version doesn't know are ignored. What an item doesn't tell is made: the
    stream of an account, from its id; the command that makes a payment, which is the payment (for
    the entries of a scheduled one as well). It is left empty where it can't be: the command of
    other events (NO_COMMAND), and every fingerprint (NO_FINGERPRINT).
    """
    try:
        item = _items.decode(value)
    except (ValueError, RecursionError) as error:
        raise UnreadableItem(f"this is no item of an event: {error}") from error
    decode = _data_of.get(item.type)
    if decode is None:
        raise UnknownItemType(f"event type {item.type} is unknown to this version")
    try:
        fields = _fields(item, decode(item.data), ledger)
        fields["originator_version"] = item.version
        fields["timestamp"] = datetime.fromisoformat(item.recorded_at)
    except (ValueError, RecursionError) as error:
        told = f"{item.type} at position {item.position} can't be read: {error}"
        raise UnreadableItem(told) from error
    fields["actor"] = Actor(item.actor.caller, item.actor.key_id, item.actor.request_id)
    return item.position, event_with(EVENTS[item.type], fields)


def _fields(item: EventItem[msgspec.Raw], data: EventData, ledger: str) -> dict[str, Any]:
    """The event's own fields, with its stream and command."""
    fields = msgspec.structs.asdict(data)
    match data:
        case EntryData():
            fields["amount_minor"] = fields.pop("amount")
            fields["command"] = NO_COMMAND if data.from_hold else data.payment
            fields["hold_left"] = None if data.hold_left is UNSET else data.hold_left
            fields["hold_expires_at"] = _time_of(data.hold_expires_at)
        case HeldData() | ReleasedData():
            fields["amount_minor"] = fields.pop("amount")
            fields["command"] = data.payment if isinstance(data, HeldData) else NO_COMMAND
            fields["expires_at"] = datetime.fromisoformat(data.expires_at)
        case CommandDecidedData():
            fields = {name: None if value is UNSET else value for name, value in fields.items()}
            fields["name"] = fields.pop("command")
            fields["originator_id"] = fields["command"] = UUID(item.stream)
            fields["fingerprint"] = NO_FINGERPRINT
            fields["refusal"] = msgspec.to_builtins(data.refusal)
            return fields
        case AccountChangedData():
            changed = msgspec.to_builtins(data)
            del changed["account"]
            fields = {"account": data.account, "changed": changed, "command": NO_COMMAND}
        case AccountOpenedData() | AccountStatusData():
            fields["command"] = NO_COMMAND
        case _:
            return _other_fields(item, data)
    _same(item.stream, data.account)
    fields["originator_id"] = _account_stream(ledger, data.account)
    return fields


def _other_fields(
    item: EventItem[msgspec.Raw], data: PaymentData | PaymentRequestData | CodeData
) -> dict[str, Any]:
    """Of an event on another stream than an account's: its id is what its data names."""
    begins = item.version == 1
    if isinstance(data, PaymentRequestData):
        fields = request_fields(data)
        begins = False
    elif isinstance(data, CodeData):
        fields = code_fields(data)
        begins = item.type == DeviceRegistered.TOPIC
    else:
        fields = payment_fields(data)
    _same(item.stream, str(fields["originator_id"]))
    fields["command"] = fields["originator_id"] if begins else NO_COMMAND
    if isinstance(data, CodeData) and begins:
        fields["fingerprint"] = NO_FINGERPRINT
    return fields


def _time_of(text: str | UnsetType) -> datetime | None:
    return None if text is UNSET else datetime.fromisoformat(text)


def _same(stream: str, named: str) -> None:
    if stream != named:
        raise ValueError("its stream is not that of what its data names")
