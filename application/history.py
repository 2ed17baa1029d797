"""An event as the auditor sees it, the item of `GET /v1/events`, and back again."""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, assert_never
from uuid import UUID

import msgspec

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
    PaymentRefusedData,
    PaymentSettledData,
    PostingData,
    RefusalData,
)
from domain.events import (
    EVENTS,
    AccountChanged,
    AccountClosed,
    AccountCredited,
    AccountDebited,
    AccountFrozen,
    AccountOpened,
    AccountUnfrozen,
    Actor,
    CommandDecided,
    LedgerEvent,
    PaymentDecided,
    PaymentRefused,
    PaymentSettled,
    Posting,
)
from domain.ids import account_stream
from domain.times import time_text

NO_COMMAND: Final = UUID(int=0)
"""Stands for the command of an account's own events, which an item doesn't tell."""
NO_FINGERPRINT: Final = b""

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
    """The id of what the event's stream is of: an account, a payment or a command."""
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
            )
        case PaymentSettled():
            return PaymentSettledData(
                event.originator_id,
                "settled",
                event.mode,
                _postings(event),
                event.carrier,
                event.reference,
                event.value_date,
                event.metadata,
            )
        case PaymentRefused():
            return PaymentRefusedData(
                event.originator_id,
                "refused",
                event.mode,
                _postings(event),
                event.carrier,
                event.reference,
                event.value_date,
                event.metadata,
                RefusalData(**event.refusal),
            )
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
                event.account,
                event.outcome,
                RefusalData(**event.refusal) if event.refusal else None,
                event.account_after,
            )
        case _:
            raise AssertionError(f"{event.TOPIC} has no item")


def _postings(payment: PaymentDecided) -> list[PostingData]:
    return [PostingData(*posting) for posting in payment.postings]


# And back ---------------------------------------------------------------------------------


def event_of(value: bytes, *, ledger: str) -> tuple[int, LedgerEvent]:
    """Position and event of an item's JSON. Raises UnreadableItem, UnknownItemType.

    Members that this version doesn't know are ignored. What an item doesn't tell is made: the
    stream of an account, from its id; the command of a payment's events and entries, which is
    the payment. It is left empty where it can't be: the command of an account's other events
    (NO_COMMAND), and every fingerprint (NO_FINGERPRINT).
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
    # Past the constructor, which costs as much as the rest (as infrastructure/mapper.py does).
    event = object.__new__(EVENTS[item.type])
    object.__setattr__(event, "__dict__", fields)
    return item.position, event


def _fields(item: EventItem[msgspec.Raw], data: EventData, ledger: str) -> dict[str, Any]:
    """The event's own fields, with its stream and command."""
    fields = msgspec.structs.asdict(data)
    match data:
        case EntryData():
            fields["amount_minor"] = fields.pop("amount")
            fields["command"] = data.payment
        case PaymentSettledData() | PaymentRefusedData():
            _same(item.stream, str(data.payment))
            del fields["payment"], fields["state"]
            fields["originator_id"] = fields["command"] = data.payment
            fields["fingerprint"] = NO_FINGERPRINT
            fields["postings"] = tuple(
                [
                    Posting(each.debit, each.credit, each.amount, each.currency)
                    for each in data.postings
                ]
            )
            if isinstance(data, PaymentRefusedData):
                fields["refusal"] = msgspec.to_builtins(data.refusal)
            return fields
        case CommandDecidedData():
            fields["name"] = data.command
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
            assert_never(data)
    _same(item.stream, data.account)
    fields["originator_id"] = _account_stream(ledger, data.account)
    return fields


def _same(stream: str, named: str) -> None:
    if stream != named:
        raise ValueError("its stream is not that of what its data names")
