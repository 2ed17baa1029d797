"""What can be asked of the ledger, as plain values: a command can be sent over a wire."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from domain.events import Actor, Metadata, NormalSide
from domain.order import PaymentOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(ABC):
    id: UUID
    """Stream of the command, made of ledger, caller and key: domain.ids.command_stream."""
    fingerprint: bytes
    """SHA-256 of the request's meaning: the same key with another one is refused."""
    actor: Actor
    dry_run: bool = False
    """Decided, and answered, but not recorded."""

    @abstractmethod
    def account_ids(self) -> Iterable[str]:
        """The accounts it names."""

    @property
    def about(self) -> Iterable[UUID]:
        """Streams of what else it names, payments or other subjects (domain/aggregate.py): it is
        decided on the accounts that these are on too."""
        return ()

    @property
    def commands(self) -> Sequence[Command]:
        """Those that are recorded, each under its own id."""
        return (self,)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountCommand(Command):
    account: str

    def account_ids(self) -> Iterable[str]:
        return (self.account,)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAccount(AccountCommand):
    currency: str
    normal_side: NormalSide = "credit"
    overdraft_limit: int | None = 0
    max_balance: int | None = None
    metadata: Metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeAccount(AccountCommand):
    changes: dict[str, Any]
    """New values by name: `overdraft_limit`, `max_balance`, `metadata`, `limits`; absent is
    unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeAccount(AccountCommand):
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfreezeAccount(AccountCommand):
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseAccount(AccountCommand):
    reason: str


class ShownCode(NamedTuple):
    """A code that a payer showed, without its digits: what it may be of."""

    pay_codes: tuple[UUID, ...] = ()
    """Streams of the pay code that it would be, by the hash of each live secret."""
    device: UUID | None = None
    """The device that its handle names."""
    step: int | None = None
    """The step of time that the device made it for; None: it didn't make it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MakePayment(Command):
    order: PaymentOrder
    shown: ShownCode | None = None
    """What names the account that is debited, where the order doesn't."""

    def account_ids(self) -> Iterable[str]:
        order = self.order
        if not order.conditions:
            return order.accounts
        return order.accounts | {condition.account for condition in order.conditions}

    @property
    def about(self) -> Iterable[UUID]:
        if self.shown is None:
            return ()
        return (*self.shown.pay_codes, *((self.shown.device,) if self.shown.device else ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class PayTogether(Command):
    """Payments that are decided one after the other; its own id and fingerprint are never
    recorded."""

    payments: Sequence[MakePayment]
    all_or_none: bool = True
    """Else each for itself; each sees what those before it do."""

    def account_ids(self) -> Iterable[str]:
        return {name for payment in self.payments for name in payment.account_ids()}

    @property
    def about(self) -> Iterable[UUID]:
        return {stream for payment in self.payments for stream in payment.about}

    @property
    def commands(self) -> Sequence[Command]:
        return self.payments


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentCommand(Command):
    """A command on a payment there is."""

    payment: UUID

    def account_ids(self) -> Iterable[str]:
        return ()

    @property
    def about(self) -> Iterable[UUID]:
        return (self.payment,)


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturePayment(PaymentCommand):
    amount_minor: int | None = None
    """None: all that is left."""
    final: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class VoidPayment(PaymentCommand):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelPayment(PaymentCommand):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmPayment(PaymentCommand):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclinePayment(PaymentCommand):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundPayment(PaymentCommand):
    """Makes a payment, under the command's id."""

    amount_minor: int | None = None
    """None: all that is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPaymentRequest(Command):
    credit_account: str
    amount_minor: int | None
    """None: the payer chooses."""
    currency: str
    reference: str | None = None
    description: str | None = None
    metadata: Metadata
    expires_in_s: int
    token_key: str
    """Which of the server's secrets its token is made with."""

    def account_ids(self) -> Iterable[str]:
        return (self.credit_account,)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRequestCommand(Command):
    """A command on a payment request there is."""

    payment_request: UUID

    def account_ids(self) -> Iterable[str]:
        return ()

    @property
    def about(self) -> Iterable[UUID]:
        return (self.payment_request,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePaymentRequest(PaymentRequestCommand):
    changes: dict[str, Any]
    """New values by name: `amount_minor`, `description`, `expires_in_s`; absent is unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelPaymentRequest(PaymentRequestCommand):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class PayPaymentRequest(PaymentRequestCommand):
    """Makes a payment, under the command's id."""

    debit_account: str
    revision: int
    """Of the request, as the payer was shown it."""
    amount_minor: int | None = None
    """None: the request's own."""
    carrier: str

    def account_ids(self) -> Iterable[str]:
        return (self.debit_account,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpirePaymentRequest(PaymentRequestCommand):
    """The ledger's own: records that a request's deadline has passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpirePayment(PaymentCommand):
    """The ledger's own: records that the deadline of what is held has passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutePayment(PaymentCommand):
    """The ledger's own: decides a scheduled payment whose time has come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuePayCode(AccountCommand):
    """Makes a pay code that debits the account."""

    pay_code: UUID
    """Its stream, made of the keyed hash of its digits; they are not here."""
    currency: str
    max_amount_minor: int
    confirm_above_minor: int | None
    expires_in_s: int

    @property
    def about(self) -> Iterable[UUID]:
        return (self.pay_code,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpirePayCode(Command):
    """The ledger's own: records that a pay code's deadline has passed."""

    pay_code: UUID

    def account_ids(self) -> Iterable[str]:
        return ()

    @property
    def about(self) -> Iterable[UUID]:
        return (self.pay_code,)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterDevice(AccountCommand):
    """Makes a device that debits the account, under the command's id."""

    currency: str
    handle: str
    per_payment_max_minor: int
    offline_total_max_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCommand(Command):
    """A command on a device there is."""

    device: UUID

    def account_ids(self) -> Iterable[str]:
        return ()

    @property
    def about(self) -> Iterable[UUID]:
        return (self.device,)


@dataclass(frozen=True, slots=True, kw_only=True)
class BringDeviceOnline(DeviceCommand):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeDevice(DeviceCommand):
    pass
