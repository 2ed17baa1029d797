"""Whether a payment can be made: the first refusal in the documented precedence, or its amounts."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from domain.account import Account
from domain.events import Condition, Posting, Side
from domain.holds import moved
from domain.limits import exceeded
from domain.money import MAX_AMOUNT_MINOR, MAX_BALANCE_MINOR, MIN_BALANCE_MINOR
from domain.order import PaymentOrder
from domain.refusals import (
    AccountUnknown,
    BalanceOverflow,
    ConditionFailed,
    ExecuteAtOutOfRange,
    InsufficientFunds,
    LimitExceeded,
    MaxBalanceExceeded,
    NothingAvailable,
    Refusal,
    Refused,
    SameAccount,
    ValueDateOutOfRange,
)

DATE_RANGE: Final = timedelta(days=366)

_OPERATORS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "eq": operator.eq,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}

Accounts = Mapping[str, Account]
"""Those of a payment's accounts that exist, by id."""


def check_times(order: PaymentOrder, now: datetime) -> None:
    """What depends on the clock. Raises Undecided refusals."""
    if order.value_date and abs(order.value_date - now.date()) > DATE_RANGE:
        raise ValueDateOutOfRange
    if order.execute_at and not now < order.execute_at <= now + DATE_RANGE:
        raise ExecuteAtOutOfRange


def check_accounts(
    postings: Sequence[Posting], accounts: Accounts, *, frozen_too: bool = True
) -> None:
    """Whether each account can take part at all. A payment for later may have a frozen one: until
    then it may be unfrozen."""
    for index, posting in enumerate(postings):
        if posting.debit == posting.credit:
            raise SameAccount(account=posting.debit, index=index)
    for index, posting in enumerate(postings):
        for name in (posting.debit, posting.credit):
            if name not in accounts:
                raise AccountUnknown(account=name, index=index)
            try:
                accounts[name].accept(posting.currency, frozen_too=frozen_too)
            except Refused as refused:
                raise _of_posting(refused, index)  # noqa: B904 (the same refusal, told where)


def check_money(order: PaymentOrder, accounts: Accounts, now: datetime) -> PaymentOrder:
    """Conditions, funds, maximum balances, overflow and velocity limits; gives the order with
    every amount found."""
    for index, condition in enumerate(order.conditions):
        if not _is_so(condition, accounts.get(condition.account), now):
            raise ConditionFailed(account=condition.account, index=index)
    running = _Running(accounts, now, holds=order.holds)
    postings = order.postings
    if order.up_to:
        postings = tuple(
            running.find(posting, index, up_to) if up_to else running.take(posting, index)
            for index, (posting, up_to) in enumerate(zip(postings, order.up_to, strict=True))
        )
    else:
        for index, posting in enumerate(postings):
            running.take(posting, index)
    found = order.found(postings)
    _check_limits(found, accounts, now)
    return found


class _Running:
    """What the accounts would have, posting by posting, as if the ones before were made."""

    def __init__(self, accounts: Accounts, now: datetime, *, holds: bool) -> None:
        self._accounts = accounts
        self._holds = holds
        self._posted = {name: account.posted for name, account in accounts.items()}
        self._pending = {name: account.pending_at(now) for name, account in accounts.items()}

    def find(self, posting: Posting, index: int, up_to: int) -> Posting:
        """The posting with all that the accounts it lowers have without their overdraft, at most
        `up_to`."""
        amount = up_to
        lowers = False
        for name, debits in ((posting.debit, True), (posting.credit, False)):
            account = self._accounts[name]
            if account.effect(1, debits=debits) < 0:
                lowers = True
                has = self._posted[name] - account.lowering(self._pending[name])
                if has <= 0:
                    raise NothingAvailable(account=name, index=index)
                amount = min(amount, has)
        if not lowers:
            raise NothingAvailable(account=posting.debit, index=index)
        return self.take(posting._replace(amount_minor=min(amount, MAX_AMOUNT_MINOR)), index)

    def take(self, posting: Posting, index: int) -> Posting:
        """Raises what the posting is refused for; else it counts from here on."""
        raised = []
        for name, debits in ((posting.debit, True), (posting.credit, False)):
            account = self._accounts[name]
            effect = account.effect(posting.amount_minor, debits=debits)
            self._move(name, posting.amount_minor, effect, debits=debits)
            if effect > 0:
                raised.append(name)
                continue
            available = account.available(self._posted[name], self._pending[name])
            if available is not None and available < 0:
                raise InsufficientFunds(account=name, index=index)
        for name in raised:
            headroom = self._accounts[name].headroom(self._posted[name], self._pending[name])
            if headroom is not None and headroom < 0:
                raise MaxBalanceExceeded(account=name, index=index)
        for name in posting[:2]:
            if not self._in_range(name):
                raise BalanceOverflow(account=name, index=index)
        return posting

    def _move(self, name: str, amount_minor: int, effect: int, *, debits: bool) -> None:
        if self._holds:
            side: Side = "debit" if debits else "credit"
            self._pending[name] = moved(self._pending[name], side, amount_minor)
        else:
            self._posted[name] += effect

    def _in_range(self, name: str) -> bool:
        """Whatever becomes of its holds: a capture can't be refused for it."""
        account, posted, pending = self._accounts[name], self._posted[name], self._pending[name]
        if not any(pending):
            return MIN_BALANCE_MINOR <= posted <= MAX_BALANCE_MINOR
        return (
            posted - account.lowering(pending) >= MIN_BALANCE_MINOR
            and posted + account.raising(pending) <= MAX_BALANCE_MINOR
            and MIN_BALANCE_MINOR <= posted <= MAX_BALANCE_MINOR
            and max(pending) <= MAX_BALANCE_MINOR
        )


def _check_limits(order: PaymentOrder, accounts: Accounts, now: datetime) -> None:
    """Each account that is debited counts the payment once, with all that it debits."""
    if not any(accounts[posting.debit].meters for posting in order.postings):
        return
    debited: dict[str, tuple[int, int]] = {}
    for index, posting in enumerate(order.postings):
        first, amount = debited.get(posting.debit, (index, 0))
        debited[posting.debit] = (first, amount + posting.amount_minor)
    for name, (index, amount) in debited.items():
        told = exceeded(accounts[name].meters, now, amount, order.carrier)
        if told:
            raise LimitExceeded(account=name, index=index, **told)


def _is_so(condition: Condition, account: Account | None, now: datetime) -> bool:
    if account is None:
        return False
    value = int(condition.value)
    if condition.what == "version":
        return account.version == value
    told: int | None = account.posted
    if condition.what == "available":
        told = account.available(account.posted, account.pending_at(now))
    if told is None:  # unlimited: more than any integer
        return condition.op in ("gt", "gte")
    return _OPERATORS[condition.op](told, value)


def _of_posting(refused: Refused, index: int) -> Refusal:
    return type(refused)(**refused.members, index=index)
