"""Payment requests folded once more from their own events: what each may come to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import Connection

from domain.events import LedgerEvent, PaymentSettled
from domain.ids import due_command
from domain.request_events import (
    PaymentRequestCanceled,
    PaymentRequestChanged,
    PaymentRequestEvent,
    PaymentRequestExpired,
    PaymentRequestOpened,
    PaymentRequestPaid,
)
from infrastructure.mapper import EventMapper
from infrastructure.reconcile import asked
from infrastructure.reconcile.asked import Asked
from infrastructure.reconcile.findings import Check, Row
from infrastructure.reconcile.stored import stored_events


@dataclass(slots=True)
class RequestReplay:
    opened: PaymentRequestOpened
    created_position: int
    position: int
    """Of the last event of the command that changed it last."""
    expires_in_s: int
    expires_at: datetime
    amount: int | None
    description: str | None
    version: int = 1
    revision: int = 1
    state: str = "open"
    payment: UUID | None = None

    @classmethod
    def begun(cls, position: int, event: PaymentRequestOpened) -> RequestReplay:
        return cls(
            event,
            position,
            position + 1,
            event.expires_in_s,
            event.expires_at,
            event.amount_minor,
            event.description,
        )

    @property
    def id(self) -> UUID:
        return self.opened.originator_id

    def row(self) -> Row:
        """What the read model must hold of it, apart from its JSON members' order."""
        event = self.opened
        return (
            self.id,
            self.created_position,
            event.credit_account,
            event.currency,
            event.reference,
            event.timestamp,
            event.token_key,
            self.position,
            self.state,
            self.revision,
            self.amount,
            self.description,
            self.expires_in_s,
            self.expires_at,
            self.payment,
            tuple(sorted(event.metadata.items())),
        )

    def apply(
        self, position: int, event: PaymentRequestEvent, first: LedgerEvent | None, check: Check
    ) -> list[Asked]:
        """Takes what has become of it, says what can't have, and gives the events to follow;
        `first` is the first event of the same command."""
        check(self.state == "open", f"{event.TOPIC} of a payment request that is {self.state}")
        past = event.timestamp >= self.expires_at
        if isinstance(event, PaymentRequestExpired):
            check(past, f"it expires before its deadline, {self.expires_at}")
        else:
            check(not past, f"{event.TOPIC} at or after its deadline, {self.expires_at}")
        self.position = position
        match event:
            case PaymentRequestOpened():
                check(False, "it is opened a second time")
            case PaymentRequestChanged():
                self._change(event, check)
                return self._record("change_payment_request")
            case PaymentRequestPaid():
                self.state, self.payment = "paid", event.payment
                self._check_payment(event, first, check)
            case PaymentRequestCanceled():
                self.state = "canceled"
                return self._record("cancel_payment_request")
            case PaymentRequestExpired():
                self.state = "expired"
                own = due_command(self.id, "expire_request")
                check(event.command == own, "its command is another's")
        return []

    def _change(self, event: PaymentRequestChanged, check: Check) -> None:
        self.revision += 1
        check(event.revision == self.revision, f"revision {event.revision}, not {self.revision}")
        since = event.expires_at - timedelta(seconds=event.expires_in_s)
        stays = (event.expires_in_s, event.expires_at) == (self.expires_in_s, self.expires_at)
        check(stays or since == event.timestamp, f"its deadline is {event.expires_at}")
        self.amount, self.description = event.amount_minor, event.description
        self.expires_in_s, self.expires_at = event.expires_in_s, event.expires_at

    def _check_payment(
        self, event: PaymentRequestPaid, first: LedgerEvent | None, check: Check
    ) -> None:
        """The payment, first of the command, is what the request asks for."""
        check(event.revision == self.revision, f"revision {event.revision} of {self.revision}")
        amount = self.amount or event.amount_minor
        check(event.amount_minor == amount, f"it is paid {event.amount_minor} of {amount}")
        if not isinstance(first, PaymentSettled):
            check(False, "no payment settles with it")
            return
        asked_for = self.opened
        paid = [(each.credit, each.amount_minor, each.currency) for each in first.postings]
        should = [(asked_for.credit_account, amount, asked_for.currency)]
        check(paid == should, f"its payment credits {paid}, should be {should}")
        told = (first.reference, first.metadata)
        check(
            told == (asked_for.reference, asked_for.metadata),
            "its payment has another reference or other metadata",
        )

    def _record(self, name: str) -> list[Asked]:
        self.position += 1
        return [request_record(name, self.opened)]


class Requests:
    """All payment requests, as far as the replay is."""

    def __init__(self, connection: Connection[Any], mapper: EventMapper) -> None:
        self._connection = connection
        self._mapper = mapper
        self._open: dict[UUID, RequestReplay] = {}
        """Those that something is still to come of; others are read again."""
        self.hash = 0
        """The sum of the hashes of the rows that their table must have."""

    def find(self, stream: UUID, before: int) -> RequestReplay | None:
        """As the events before that position leave it; None: no payment request."""
        return self._open.get(stream) or request_of(
            self._connection, self._mapper, stream, before - 1
        )

    def begin(self, position: int, event: PaymentRequestOpened, check: Check) -> list[Asked]:
        request = self._open[event.originator_id] = RequestReplay.begun(position, event)
        self.hash += hash(request.row())
        lasts = timedelta(seconds=event.expires_in_s)
        check(event.expires_at == event.timestamp + lasts, f"its deadline is {event.expires_at}")
        return [request_record("open_payment_request", event)]

    def apply(
        self,
        request: RequestReplay,
        position: int,
        event: PaymentRequestEvent,
        first: LedgerEvent | None,
        check: Check,
    ) -> list[Asked]:
        self.hash -= hash(request.row())
        follow = request.apply(position, event, first, check)
        self.hash += hash(request.row())
        if request.state != "open":
            self._open.pop(request.id, None)
        return follow


def request_record(name: str, event: PaymentRequestOpened) -> Asked:
    return asked.record_of(name, account=event.credit_account, payment_request=event.originator_id)


def request_of(
    connection: Connection[Any], mapper: EventMapper, stream: UUID, to: int
) -> RequestReplay | None:
    """One payment request from its own stream, as far as that; None where none begins there."""
    request: RequestReplay | None = None
    for position, event, *_ in stored_events(connection, mapper, 0, to, stream):
        if request is None and isinstance(event, PaymentRequestOpened):
            request = RequestReplay.begun(position, event)
        elif request is not None and isinstance(event, PaymentRequestEvent):
            request.apply(position, event, None, lambda *_: None)
            request.version = event.originator_version
    return request


def request_rows(connection: Connection[Any], mapper: EventMapper, to: int) -> set[Row]:
    """Every row that their table must have, folded from the whole store once more."""
    requests: dict[UUID, RequestReplay] = {}
    for position, event, stream, *_ in stored_events(connection, mapper, 0, to):
        if isinstance(event, PaymentRequestOpened):
            requests[stream] = RequestReplay.begun(position, event)
        elif isinstance(event, PaymentRequestEvent) and stream in requests:
            requests[stream].apply(position, event, None, lambda *_: None)
    return {request.row() for request in requests.values()}
