"""From events to pay codes and devices: pure functions over records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from domain.code_events import (
    CodeEvent,
    DeviceOnline,
    DeviceRegistered,
    DeviceRevoked,
    PayCodeExpired,
    PayCodeIssued,
    PayCodeUsed,
)
from projections.feed import Record


class Issued(NamedTuple):
    """A pay code, as it is for ever."""

    id: UUID
    issued_position: int
    """Of the last event of the command that made it."""
    debit_account: str
    currency: str
    max_amount_minor: int
    confirm_above_minor: int | None
    expires_at: datetime
    created_at: datetime


class Ended(NamedTuple):
    """What became of a pay code, once."""

    id: UUID
    position: int
    payment: UUID | None
    """The one that used it; None: it expired."""


class Registered(NamedTuple):
    """What of a device never changes."""

    id: UUID
    registered_position: int
    handle: str
    debit_account: str
    currency: str
    per_payment_max_minor: int
    offline_total_max_minor: int
    created_at: datetime


class DeviceState(NamedTuple):
    """Of a device, right after an event of it."""

    position: int
    """Of the last event of that event's command."""
    state: str
    offline_spent_minor: int


@dataclass(slots=True)
class CodesFolded:
    """What a batch adds."""

    issued: list[Issued] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    registered: list[Registered] = field(default_factory=list)
    device_states: list[tuple[UUID, DeviceState]] = field(default_factory=list)
    """One for each event of a device, in order."""


def devices_needed(records: Iterable[Record]) -> set[UUID]:
    """Devices whose state before the batch the fold may ask for."""
    return {
        event.originator_id
        for _, _, _, event in records
        if isinstance(event, DeviceOnline | DeviceRevoked)
        or (isinstance(event, PayCodeUsed) and event.step is not None)
    }


def fold_codes(records: Iterable[Record], known: Mapping[UUID, DeviceState]) -> CodesFolded:
    """What the records, in order, make of pay codes and devices. Raises LookupError for a device
    that was never registered."""
    folded = CodesFolded()
    states = dict(known)
    for position, _, _, event in records:
        match event:
            case PayCodeIssued():
                folded.issued.append(_issued(event, position))
            case PayCodeUsed(step=None):
                folded.ended.append(Ended(event.originator_id, position, event.payment))
            case PayCodeExpired():
                folded.ended.append(Ended(event.originator_id, position, None))
            case DeviceRegistered():
                folded.registered.append(_registered(event, position))
                _add(folded, states, event, DeviceState(position, "active", 0))
            case PayCodeUsed():
                before = states[event.originator_id]
                spent = before.offline_spent_minor + event.amount_minor
                _add(folded, states, event, DeviceState(position, before.state, spent))
            case DeviceOnline():
                before = states[event.originator_id]
                _add(folded, states, event, DeviceState(position + 1, before.state, 0))
            case DeviceRevoked():
                before = states[event.originator_id]
                spent = before.offline_spent_minor
                _add(folded, states, event, DeviceState(position + 1, "revoked", spent))
            case _:
                pass
    return folded


def _issued(event: PayCodeIssued, position: int) -> Issued:
    return Issued(
        event.originator_id,
        position + 1,
        event.debit_account,
        event.currency,
        event.max_amount_minor,
        event.confirm_above_minor,
        event.expires_at,
        event.timestamp,
    )


def _registered(event: DeviceRegistered, position: int) -> Registered:
    return Registered(
        event.originator_id,
        position,
        event.handle,
        event.debit_account,
        event.currency,
        event.per_payment_max_minor,
        event.offline_total_max_minor,
        event.timestamp,
    )


def _add(
    folded: CodesFolded, states: dict[UUID, DeviceState], event: CodeEvent, state: DeviceState
) -> None:
    """A command's step is followed by its record, which the state's position counts in."""
    states[event.originator_id] = state
    folded.device_states.append((event.originator_id, state))
