"""The ledger folded once more, apart from aggregates and projections, doubting every event."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID

from psycopg import Connection

from domain.code_events import CodeEvent, DeviceRegistered, PayCodeIssued, PayCodeUsed
from domain.events import (
    AccountEntry,
    AccountHold,
    AccountOpened,
    CommandDecided,
    LedgerEvent,
    PaymentDecided,
    PaymentRefunded,
    PaymentSettled,
)
from domain.ids import account_stream
from domain.payment import PaymentStep
from domain.request_events import (
    PaymentRequestEvent,
    PaymentRequestOpened,
    PaymentRequestPaid,
)
from infrastructure.mapper import EventMapper
from infrastructure.reconcile import asked
from infrastructure.reconcile.accounts import AccountReplay, opened_account
from infrastructure.reconcile.asked import Asked
from infrastructure.reconcile.codes import CodeReplay, Codes, DeviceReplay, PayCodeReplay
from infrastructure.reconcile.findings import Found, check_at
from infrastructure.reconcile.payments import PaymentReplay
from infrastructure.reconcile.requests import RequestReplay, Requests
from infrastructure.reconcile.stored import PAGE, Stored, stored_events

CHUNK: Final = 1_000
"""Positions that payments are compared by: a chunk that differs is looked at payment by payment."""

Other = PaymentReplay | RequestReplay | CodeReplay
"""What a stream may be of besides an account."""


class Replay:
    """The whole ledger from position 1 on, as far as it is advanced."""

    def __init__(
        self, connection: Connection[Any], mapper: EventMapper, ledger: str, found: Found
    ) -> None:
        self._connection = connection
        self._mapper = mapper
        self._ledger = ledger
        self._found = found
        self._recorded_at = datetime.min.replace(tzinfo=UTC)
        self._asked: deque[Asked] = deque()
        """What the command under way must still have."""
        self._command: LedgerEvent | None = None
        self._first_position = 0
        self.position = 0
        self.accounts: dict[str, AccountReplay] = {}
        self.streams: dict[UUID, str] = {}
        self.payments = 0
        self._waiting: dict[UUID, PaymentReplay] = {}
        """The payments that something is still to come of by itself; others are read again."""
        self.payment_hashes: dict[int, int] = defaultdict(int)
        self.payment_account_hashes: dict[int, int] = defaultdict(int)
        self.first_positions: dict[date, int] = {}
        """Of the first entry of each booking date."""
        self.requests = Requests(connection, mapper)
        self.codes = Codes(connection, mapper)
        self.carriers: dict[tuple[date, str, str], list[int]] = {}
        """Payments and their amount by booking date, carrier and currency."""

    def advance(self, to: int, progress: Callable[[int], None] = lambda _: None) -> None:
        for stored in stored_events(self._connection, self._mapper, self.position, to):
            self._take(stored)
            if stored.position % PAGE == 0:
                progress(stored.position)

    def finish(self) -> None:
        """Says what is missing where the store ends."""
        self._check_whole(f"position {self.position + 1}")

    def sums_by_currency(self) -> dict[str, int]:
        """Debit balances less credit balances: zero each, or money came from nowhere."""
        sums: dict[str, int] = defaultdict(int)
        for account in self.accounts.values():
            debit_normal = account.opened.normal_side == "debit"
            sums[account.opened.currency] += account.posted if debit_normal else -account.posted
        return sums

    def _take(self, stored: Stored) -> None:
        position, event, stream, version, recorded_at, reason = stored
        if position != self.position + 1:
            self._found(f"position {self.position + 1}: missing; {position} follows")
        self.position = position
        if recorded_at < self._recorded_at:
            self._found(f"event {position}: recorded {recorded_at}, before the event before it")
        self._recorded_at = recorded_at
        other: Other | None = None
        if version > 1 and stream not in self.streams:
            find = self._finder(event)
            other = find(stream, position)
        self._check_version(position, stream, version, other)
        if event is None:
            self._found(f"event {position}: {reason}")
            if self._asked:
                self._asked.popleft()
            if stream in self.streams:
                self.accounts[self.streams[stream]].doubtful = True
            return
        if isinstance(event, AccountEntry):
            self.first_positions.setdefault(recorded_at.date(), position)
        self._check_command(position, event)
        self._check(position, event, other)

    def _check(self, position: int, event: LedgerEvent, other: Other | None) -> None:
        """Against what its stream is of: `other` than an account, where it began before."""
        if isinstance(event, PaymentDecided | PaymentStep):
            payment = other if isinstance(other, PaymentReplay) else None
            self._check_payment(position, event, payment)
        elif isinstance(event, PaymentRequestEvent):
            request = other if isinstance(other, RequestReplay) else None
            self._check_request(position, event, request)
        elif isinstance(event, CodeEvent):
            code = other if isinstance(other, PayCodeReplay | DeviceReplay) else None
            self._check_code(position, event, code)
        elif isinstance(event, CommandDecided):
            self._check_record(position, event)
        else:
            self._apply(position, event)

    def _check_version(
        self, position: int, stream: UUID, version: int, other: Other | None
    ) -> None:
        name = self.streams.get(stream)
        of = other if name is None else self.accounts[name]
        expected = 1 if of is None else of.version + 1
        if version != expected:
            self._found(f"event {position}: version {version} of {stream}, should be {expected}")
        if of is not None:
            of.version = version

    def _check_command(self, position: int, event: LedgerEvent) -> None:
        """A command's events are contiguous, of one actor and one time."""
        first = self._command
        if first is None or event.command != first.command:
            self._check_whole(f"event {position}")
            self._command, self._first_position = event, position
        elif (event.actor, event.timestamp) != (first.actor, first.timestamp):
            self._found(
                f"event {position}: actor or time is another than that of event"
                f" {self._first_position}, of the same command"
            )

    def _check_whole(self, here: str) -> None:
        """Says what the command that ends here lacks."""
        if self._asked:
            self._found(
                f"{here}: the command of event {self._first_position} lacks {len(self._asked)}"
                " events"
            )
            self._asked.clear()

    def _check_asked(self, position: int, event: LedgerEvent) -> None:
        """It is the event that its command asks for next, and tells what that told."""
        if not self._asked:
            self._found(f"event {position}: {event.TOPIC} that nothing before it asks for")
            return
        kind, told = self._asked.popleft()
        if type(event) is not kind:
            first = f"its command (event {self._first_position})"
            self._found(f"event {position}: {event.TOPIC}, {first} asks for {kind.TOPIC}")
        for member, should in told.items():
            is_ = getattr(event, member, None)
            if is_ != should:
                first = f"its command (event {self._first_position})"
                self._found(f"event {position}: {member} {is_}, {first} has {should}")

    def _check_payment(
        self, position: int, event: PaymentDecided | PaymentStep, payment: PaymentReplay | None
    ) -> None:
        """What becomes of a payment can, and is followed by the events that it asks for."""
        if payment is not None:
            self._hash(payment, -1)
        elif isinstance(event, PaymentDecided):
            payment = self._begun(position, event)
        else:
            self._found(f"event {position}: {event.TOPIC} of a payment that was never begun")
            return
        if isinstance(event, PaymentRefunded):
            self._check_refund(position, event, payment)
        before = payment.captured
        self._asked += payment.apply(position, event, self._found)
        self._book(payment, before, event.timestamp.date())
        self._hash(payment, 1)
        self._waiting.pop(payment.id, None)
        if payment.waits:
            self._waiting[payment.id] = payment

    def _check_request(
        self, position: int, event: PaymentRequestEvent, request: RequestReplay | None
    ) -> None:
        """What becomes of a payment request can, and is what its payment asks for."""
        check = check_at(position, self._found)
        if isinstance(event, PaymentRequestPaid):
            self._check_asked(position, event)
        if request is not None:
            self._asked += self.requests.apply(request, position, event, self._command, check)
        elif isinstance(event, PaymentRequestOpened):
            self._asked += self.requests.begin(position, event, check)
        else:
            check(False, f"{event.TOPIC} of a payment request that was never opened")

    def _check_code(self, position: int, event: CodeEvent, code: CodeReplay | None) -> None:
        """What becomes of a pay code or a device can, and is what its payment asks for."""
        check = check_at(position, self._found)
        if isinstance(event, PayCodeUsed):
            self._check_asked(position, event)
        if isinstance(event, PayCodeIssued | DeviceRegistered):
            self._asked += self.codes.begin(position, event, check)
        elif code is None:
            check(False, f"{event.TOPIC} of a code or device that was never made")
        else:
            self._asked += self.codes.apply(code, position, event, self._command, check)

    def _book(self, payment: PaymentReplay, before: tuple[int, ...], day: date) -> None:
        """Adds what was captured since to the sums of its carrier."""
        counted = {
            posting.currency
            for posting, amount in zip(payment.postings, before, strict=False)
            if amount
        }
        for index, posting in enumerate(payment.postings):
            amount = payment.captured[index] - (before[index] if index < len(before) else 0)
            if amount:
                key = (day, payment.carrier, posting.currency)
                sums = self.carriers.setdefault(key, [0, 0])
                sums[0] += posting.currency not in counted
                sums[1] += amount
                counted.add(posting.currency)

    def _begun(self, position: int, event: PaymentDecided) -> PaymentReplay:
        if event.command != event.originator_id:
            self._found(f"event {position}: command {event.command} on the stream of another")
        payment = PaymentReplay.begun(position, event)
        self.payments += 1
        for account in payment.accounts:
            self.payment_account_hashes[position // CHUNK] ^= hash((account, position))
        return payment

    def _check_refund(self, position: int, event: PaymentRefunded, original: PaymentReplay) -> None:
        """The refund, first of the command, moves back what the payment that it undoes says."""
        self._check_asked(position, event)
        refund = self._command
        if isinstance(refund, PaymentSettled) and refund.postings != original.undone(event.amounts):
            self._found(
                f"event {position}: amounts {event.amounts}, its refund (event"
                f" {self._first_position}) moves {refund.postings}"
            )

    def _finder(self, event: LedgerEvent | None) -> Callable[[UUID, int], Other | None]:
        """What finds that which the event's stream is of, as it was before a position."""
        if isinstance(event, PaymentRequestEvent):
            return self.requests.find
        return self.codes.find if isinstance(event, CodeEvent) else self._payment

    def _payment(self, stream: UUID, before: int) -> PaymentReplay | None:
        """The payment as the events before that position leave it; None: no payment."""
        if stream in self._waiting:
            return self._waiting[stream]
        return payment_of(self._connection, self._mapper, stream, before - 1)

    def _hash(self, payment: PaymentReplay, sign: int) -> None:
        chunk = payment.created_position // CHUNK
        self.payment_hashes[chunk] += sign * hash(payment.row())

    def _check_record(self, position: int, event: CommandDecided) -> None:
        if event.command != event.originator_id:
            self._found(f"event {position}: command {event.command} on the stream of another")
        if self._asked or (event.payment is not None and event.outcome == "accepted"):
            self._check_asked(position, event)
        if (event.outcome == "refused") != (event.refusal is not None):
            self._found(f"event {position}: {event.outcome}, and its refusal is {event.refusal}")
        if (event.account is None) == (event.payment is None):
            self._found(f"event {position}: it is about an account or a payment, one of both")
        if event.account is None or event.account_after is None:
            return
        account = self.accounts.get(event.account)
        resource = account.resource() if account else {}
        if account:
            account.told_position = position
        if event.outcome == "accepted" and event.account_after != resource:
            differing = [
                name
                for name in {**resource, **event.account_after}
                if resource.get(name) != event.account_after.get(name)
            ]
            self._found(
                f"event {position}: account_after of {event.account} differs from its events in"
                f" {', '.join(sorted(differing))}"
            )

    def _apply(self, position: int, event: LedgerEvent) -> None:
        name: str = event.account  # type: ignore[attr-defined]  # all that is left are accounts'
        known = self.streams.get(event.originator_id)
        if known != name and event.originator_id != account_stream(self._ledger, name):
            self._found(f"event {position}: {name} is not the account of its stream")
            name = known or name
        if isinstance(event, AccountOpened) and name not in self.accounts:
            self.accounts[name] = opened_account(position, event)
            self.streams[event.originator_id] = name
        account = self.accounts.get(name)
        if account is None:
            self._found(f"event {position}: {name} was never opened")
            return
        if isinstance(event, AccountEntry | AccountHold):
            self._check_asked(position, event)
        else:
            self._asked.append(asked.account_record(event))
        account.apply(position, event, self._found)


def payment_of(
    connection: Connection[Any], mapper: EventMapper, stream: UUID, to: int
) -> PaymentReplay | None:
    """One payment from its own stream, as far as that; None where none begins there."""
    payment: PaymentReplay | None = None
    for position, event, *_ in stored_events(connection, mapper, 0, to, stream):
        if payment is None and isinstance(event, PaymentDecided):
            payment = PaymentReplay.begun(position, event)
        if payment is not None and isinstance(event, PaymentDecided | PaymentStep):
            payment.apply(position, event, lambda _: None)
    return payment
