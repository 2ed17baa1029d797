"""POST /v1/accounts, PATCH /v1/accounts/{id}, POST /v1/accounts/{id}/freeze|unfreeze|close."""

import secrets
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api import examples
from api.answer_models import Account
from api.auth import ADMINISTERS, COMMANDS, caller_of
from api.commands import carry_out, identity
from api.models import ChangeAccountBody, OpenAccountBody, ReasonBody
from api.operations import operation
from api.paths import AccountIdInPath
from api.problems import Problem
from api.requests import read_body
from application.commands import (
    ChangeAccount,
    CloseAccount,
    FreezeAccount,
    OpenAccount,
    UnfreezeAccount,
)

router = APIRouter(tags=["accounts"])

_OF_ONE: Final = ("not_found", "account_closed")


@router.post(
    "/v1/accounts",
    **operation(
        "openAccount",
        "Open an account",
        description="A client's keys open accounts with `overdraft_limit` 0 only.",
        allowed=COMMANDS,
        body=OpenAccountBody,
        body_example=examples.OPEN_ACCOUNT,
        status=201,
        answer=Account,
        example=examples.ACCOUNT,
        problems=("account_exists",),
    ),
)
async def open_account(request: Request) -> Response:
    body, meaning = await read_body(request, OpenAccountBody)
    if body.overdraft_limit != 0 and caller_of(request).role != "admin":
        raise Problem("forbidden", "An overdraft limit other than 0 needs an admin's key.")
    command = OpenAccount(
        **identity(request),
        fingerprint=meaning,
        account=body.id or made_id(),
        currency=body.currency,
        normal_side=body.normal_side,
        overdraft_limit=body.overdraft_limit,
        max_balance=body.max_balance,
        metadata=body.metadata,
    )
    return await carry_out(request, command, status=201)


def made_id() -> str:
    """An id that nobody can guess: 128 random bits."""
    return f"acct_{secrets.token_hex(16)}"


@router.patch(
    "/v1/accounts/{id}",
    **operation(
        "changeAccount",
        "Change an account's limits or metadata",
        description="What is absent stays as it is; metadata is replaced as a whole.",
        allowed=ADMINISTERS,
        body=ChangeAccountBody,
        body_example=examples.CHANGE_ACCOUNT,
        answer=Account,
        example={**examples.ACCOUNT, "overdraft_limit": 50000, "version": 2, "position": 14},
        problems=_OF_ONE,
    ),
)
async def change_account(request: Request, id: AccountIdInPath) -> Response:
    body, meaning = await read_body(request, ChangeAccountBody)
    changes = body.model_dump(include=body.model_fields_set)
    command = ChangeAccount(**identity(request), fingerprint=meaning, account=id, changes=changes)
    return await carry_out(request, command)


@router.post(
    "/v1/accounts/{id}/freeze",
    **operation(
        "freezeAccount",
        "Freeze an account: it refuses debits and credits",
        allowed=ADMINISTERS,
        body=ReasonBody,
        body_example=examples.REASON,
        answer=Account,
        example={**examples.ACCOUNT, "status": "frozen", "version": 2, "position": 14},
        problems=_OF_ONE,
    ),
)
async def freeze_account(request: Request, id: AccountIdInPath) -> Response:
    return await _change_status(FreezeAccount, request, id)


@router.post(
    "/v1/accounts/{id}/unfreeze",
    **operation(
        "unfreezeAccount",
        "Open a frozen account again",
        allowed=ADMINISTERS,
        body=ReasonBody,
        body_example=examples.REASON,
        answer=Account,
        example={**examples.ACCOUNT, "version": 3, "position": 16},
        problems=_OF_ONE,
    ),
)
async def unfreeze_account(request: Request, id: AccountIdInPath) -> Response:
    return await _change_status(UnfreezeAccount, request, id)


@router.post(
    "/v1/accounts/{id}/close",
    **operation(
        "closeAccount",
        "Close an account for good: its balance must be zero",
        allowed=ADMINISTERS,
        body=ReasonBody,
        body_example=examples.REASON,
        answer=Account,
        example={**examples.ACCOUNT, "status": "closed", "version": 2, "position": 14},
        problems=("not_found", "account_not_empty"),
    ),
)
async def close_account(request: Request, id: AccountIdInPath) -> Response:
    return await _change_status(CloseAccount, request, id)


async def _change_status(
    make: type[FreezeAccount | UnfreezeAccount | CloseAccount], request: Request, id: str
) -> Response:
    body, meaning = await read_body(request, ReasonBody)
    command = make(**identity(request), fingerprint=meaning, account=id, reason=body.reason)
    return await carry_out(request, command)
