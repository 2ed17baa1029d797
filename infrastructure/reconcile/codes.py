"""Pay codes and devices folded once more from their own events: what each may be used for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from psycopg import Connection

from domain.code_events import (
    CodeEvent,
    DeviceOnline,
    DeviceRegistered,
    DeviceRevoked,
    PayCodeExpired,
    PayCodeIssued,
    PayCodeUsed,
)
from domain.confirmation_events import PaymentPending
from domain.events import LedgerEvent, PaymentDecided
from domain.ids import due_command
from infrastructure.mapper import EventMapper
from infrastructure.reconcile import asked
from infrastructure.reconcile.asked import Asked
from infrastructure.reconcile.findings import Check, Row
from infrastructure.reconcile.stored import stored_events

STEP_S: Final = 30


@dataclass(slots=True)
class PayCodeReplay:
    issued: PayCodeIssued
    issued_position: int
    version: int = 1
    ended_position: int | None = None
    payment: UUID | None = None

    @property
    def id(self) -> UUID:
        return self.issued.originator_id

    def row(self) -> Row:
        event = self.issued
        return (
            event.originator_id,
            self.issued_position + 1,
            event.debit_account,
            event.currency,
            event.max_amount_minor,
            event.confirm_above_minor,
            event.expires_at,
            event.timestamp,
            self.ended_position,
            self.payment,
        )

    def apply(
        self, position: int, event: CodeEvent, first: LedgerEvent | None, check: Check
    ) -> None:
        """Takes what has become of it; `first` is the first event of the same command."""
        deadline = self.issued.expires_at
        check(self.ended_position is None, f"{event.TOPIC} of a code that is over")
        self.ended_position = position
        match event:
            case PayCodeUsed(step=None):
                self.payment = event.payment
                check(event.timestamp < deadline, f"it is used at or after its deadline {deadline}")
                most = self.issued.max_amount_minor
                check(event.amount_minor <= most, f"{event.amount_minor} is above {most}")
                _check_payer(self.issued, event, first, check)
                above = self.issued.confirm_above_minor
                asks = above is not None and event.amount_minor > above
                check(isinstance(first, PaymentPending) == asks, f"confirm_above is {above}")
            case PayCodeExpired():
                check(event.timestamp >= deadline, f"it expires before its deadline {deadline}")
                own = due_command(event.originator_id, "expire_code")
                check(event.command == own, "its command is another's")
            case _:
                check(False, f"{event.TOPIC} of a pay code")


@dataclass(slots=True)
class DeviceReplay:
    registered: DeviceRegistered
    registered_position: int
    position: int
    """Of the last event of the command that changed it last."""
    version: int = 1
    state: str = "active"
    offline_spent: int = 0
    spent: set[int] = field(default_factory=set)

    def row(self) -> Row:
        event = self.registered
        return (
            event.originator_id,
            self.registered_position,
            event.handle,
            event.debit_account,
            event.currency,
            event.per_payment_max_minor,
            event.offline_total_max_minor,
            event.timestamp,
        )

    def told(self) -> Row:
        """What the read model must hold of it as of its last event."""
        return (self.registered.originator_id, self.position, self.state, self.offline_spent)

    def apply(
        self, position: int, event: CodeEvent, first: LedgerEvent | None, check: Check
    ) -> list[Asked]:
        """Takes what has become of it; `first` is the first event of the same command."""
        check(self.state == "active", f"{event.TOPIC} of a device that is revoked")
        self.position = position if isinstance(event, PayCodeUsed) else position + 1
        match event:
            case PayCodeUsed(step=int(step)):
                now = int(event.timestamp.timestamp()) // STEP_S
                check(abs(step - now) <= 1, f"step {step} is used at step {now}")
                check(step not in self.spent, f"step {step} is spent twice")
                self.spent.add(step)
                self.offline_spent += event.amount_minor
                caps = self.registered
                check(event.amount_minor <= caps.per_payment_max_minor, "it is above its maximum")
                check(self.offline_spent <= caps.offline_total_max_minor, "it is above its total")
                _check_payer(caps, event, first, check)
                return []
            case DeviceOnline():
                spent = self.offline_spent
                check(event.offline_spent_minor == spent, f"it had spent {spent} offline")
                self.offline_spent = 0
                return [self._record("bring_device_online")]
            case DeviceRevoked():
                self.state = "revoked"
                return [self._record("revoke_device")]
            case _:
                check(False, f"{event.TOPIC} of a device")
                return []

    def _record(self, name: str) -> Asked:
        event = self.registered
        return asked.record_of(name, account=event.debit_account, device=event.originator_id)


CodeReplay = PayCodeReplay | DeviceReplay


class Codes:
    """All pay codes and devices, as far as the replay is."""

    def __init__(self, connection: Connection[Any], mapper: EventMapper) -> None:
        self._connection = connection
        self._mapper = mapper
        self._live: dict[UUID, CodeReplay] = {}
        """Those that something is still to come of; others are read again."""
        self.hashes: dict[str, int] = dict.fromkeys(
            ("payments_pay_codes", "payments_devices", "payments_devices_history"), 0
        )
        """By table: the sum of the hashes of the rows that it must have."""

    def find(self, stream: UUID, before: int) -> CodeReplay | None:
        """As the events before that position leave it; None: no code or device."""
        return self._live.get(stream) or code_of(self._connection, self._mapper, stream, before - 1)

    def begin(
        self, position: int, event: PayCodeIssued | DeviceRegistered, check: Check
    ) -> list[Asked]:
        code = begun_code(position, event)
        self._live[event.originator_id] = code
        if isinstance(code, DeviceReplay):
            check(event.command == event.originator_id, "it is on the stream of another command")
            self.hashes["payments_devices"] += hash(code.row())
            self.hashes["payments_devices_history"] += hash(code.told())
            return []
        check(code.issued.expires_at > event.timestamp, "it is over before it is issued")
        self.hashes["payments_pay_codes"] += hash(code.row())
        return [
            asked.record_of("issue_pay_code", account=code.issued.debit_account, pay_code=code.id)
        ]

    def apply(
        self,
        code: CodeReplay,
        position: int,
        event: CodeEvent,
        first: LedgerEvent | None,
        check: Check,
    ) -> list[Asked]:
        if isinstance(code, DeviceReplay):
            follow = code.apply(position, event, first, check)
            self.hashes["payments_devices_history"] += hash(code.told())
            return follow
        self.hashes["payments_pay_codes"] -= hash(code.row())
        code.apply(position, event, first, check)
        self.hashes["payments_pay_codes"] += hash(code.row())
        self._live.pop(code.id, None)
        return []


def begun_code(position: int, event: PayCodeIssued | DeviceRegistered) -> CodeReplay:
    if isinstance(event, PayCodeIssued):
        return PayCodeReplay(event, position)
    return DeviceReplay(event, position, position)


def code_of(
    connection: Connection[Any], mapper: EventMapper, stream: UUID, to: int
) -> CodeReplay | None:
    """One code or device from its own stream, as far as that; None where none begins there."""
    code: CodeReplay | None = None
    for position, event, *_ in stored_events(connection, mapper, 0, to, stream):
        if code is None and isinstance(event, PayCodeIssued | DeviceRegistered):
            code = begun_code(position, event)
        elif code is not None and isinstance(event, CodeEvent):
            code.apply(position, event, None, lambda *_: None)
            code.version = event.originator_version
    return code


def _check_payer(
    terms: PayCodeIssued | DeviceRegistered,
    event: PayCodeUsed,
    first: LedgerEvent | None,
    check: Check,
) -> None:
    """The payment, first of the command, debits the code's account, in its currency."""
    postings = first.postings if isinstance(first, PaymentDecided) else ()
    debited = [(each.debit, each.currency, each.amount_minor) for each in postings]
    should = [(terms.debit_account, terms.currency, event.amount_minor)]
    check(debited == should, f"its payment debits {debited}, should be {should}")


def code_rows(connection: Connection[Any], mapper: EventMapper, to: int) -> dict[str, list[Row]]:
    """By table: every row that it must have, folded from the whole store once more."""
    codes: dict[UUID, CodeReplay] = {}
    rows: dict[str, list[Row]] = {"payments_devices_history": []}
    for position, event, stream, *_ in stored_events(connection, mapper, 0, to):
        if isinstance(event, PayCodeIssued | DeviceRegistered):
            codes[stream] = begun_code(position, event)
        elif isinstance(event, CodeEvent) and stream in codes:
            codes[stream].apply(position, event, None, lambda *_: None)
        else:
            continue
        if isinstance(device := codes[stream], DeviceReplay):
            rows["payments_devices_history"].append(device.told())
    for table, kind in (("payments_pay_codes", PayCodeReplay), ("payments_devices", DeviceReplay)):
        rows[table] = [code.row() for code in codes.values() if isinstance(code, kind)]
    return rows
