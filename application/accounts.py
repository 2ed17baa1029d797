"""How commands on accounts are decided."""

from application.answers import account_resource
from application.batch import Draft
from application.commands import (
    AccountCommand,
    ChangeAccount,
    CloseAccount,
    FreezeAccount,
    OpenAccount,
    UnfreezeAccount,
)
from domain.account import Account
from domain.ids import account_stream
from domain.refusals import AccountExists, NotFound, Refused


def open_account(command: OpenAccount, draft: Draft) -> None:
    if draft.account(command.account):
        raise AccountExists(account=command.account)
    account = Account.open(
        stream=account_stream(draft.ledger, command.account),
        command=command.id,
        actor=command.actor,
        now=draft.now,
        account=command.account,
        currency=command.currency,
        normal_side=command.normal_side,
        overdraft_limit=command.overdraft_limit,
        max_balance=command.max_balance,
        metadata=command.metadata,
    )
    draft.accounts[command.account] = account
    _record("open_account", command, account, draft)


def change_account(command: ChangeAccount, draft: Draft) -> None:
    account = _existing(command, draft)
    try:
        account.change(command.changes, command=command.id, actor=command.actor, now=draft.now)
    except Refused as refused:
        return _record("change_account", command, account, draft, refused)
    _record("change_account", command, account, draft)


def change_status(command: FreezeAccount | UnfreezeAccount | CloseAccount, draft: Draft) -> None:
    account = _existing(command, draft)
    name, change = {
        FreezeAccount: ("freeze_account", account.freeze),
        UnfreezeAccount: ("unfreeze_account", account.unfreeze),
        CloseAccount: ("close_account", account.close),
    }[type(command)]
    try:
        change(command.reason, command=command.id, actor=command.actor, now=draft.now)
    except Refused as refused:
        return _record(name, command, account, draft, refused)
    _record(name, command, account, draft)


def _existing(command: AccountCommand, draft: Draft) -> Account:
    account = draft.account(command.account)
    if account is None:
        raise NotFound
    return account


def _record(
    name: str,
    command: AccountCommand,
    account: Account,
    draft: Draft,
    refused: Refused | None = None,
) -> None:
    """Records the command, last of its events, also where it changed nothing."""
    about = {"account": command.account, "account_after": account_resource(account)}
    draft.events += account.collect()
    draft.record(name, command, refused=refused, **about)
