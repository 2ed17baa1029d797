"""What can be asked of the ledger, as plain values: a command can be sent over a wire."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.events import Actor, Metadata, NormalSide
from domain.payment import PaymentOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(ABC):
    id: UUID
    """Stream of the command, made of ledger, caller and key: domain.ids.command_stream."""
    fingerprint: bytes
    """SHA-256 of the request's meaning: the same key with another one is refused."""
    actor: Actor

    @abstractmethod
    def account_ids(self) -> Iterable[str]:
        """The accounts it is decided on."""


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
    """New values by name: `overdraft_limit`, `max_balance`, `metadata`; absent is unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeAccount(AccountCommand):
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfreezeAccount(AccountCommand):
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseAccount(AccountCommand):
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MakePayment(Command):
    order: PaymentOrder

    def account_ids(self) -> Iterable[str]:
        return {name for posting in self.order.postings for name in posting[:2]}
