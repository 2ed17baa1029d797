"""Ids in paths. A malformed one is an id that nothing has: 404, never 400."""

import re
from typing import Annotated, Final
from uuid import UUID

from fastapi import Path

from api.models import ACCOUNT_ID
from api.problems import Problem

_ACCOUNT_ID: Final = re.compile(ACCOUNT_ID.removesuffix("$"), re.ASCII)

NOBODYS: Final = UUID(int=0)
"""Ids of payments and payment requests are version 5 UUIDs: none has this one."""

AccountIdInPath = Annotated[
    str,
    Path(
        description="An account's id",
        json_schema_extra={"pattern": ACCOUNT_ID, "examples": ["customers:alice"]},
    ),
]
PaymentIdInPath = Annotated[
    str, Path(description="A payment's id", json_schema_extra={"format": "uuid"})
]
PaymentRequestIdInPath = Annotated[
    str, Path(description="A payment request's id", json_schema_extra={"format": "uuid"})
]
TokenInPath = Annotated[
    str,
    Path(
        description="The token in a payment request's `url`",
        json_schema_extra={"pattern": "^[A-Za-z0-9_-]{43}$"},
    ),
]
PayCodeIdInPath = Annotated[
    str, Path(description="A pay code's id", json_schema_extra={"format": "uuid"})
]
DeviceIdInPath = Annotated[
    str, Path(description="A device's id", json_schema_extra={"format": "uuid"})
]
PositionInPath = Annotated[
    str,
    Path(description="A position", json_schema_extra={"pattern": "^[1-9][0-9]{0,18}$"}),
]


def account_id(sent: str) -> str:
    """Raises Problem: not_found, for what can be no account's id."""
    if not _ACCOUNT_ID.fullmatch(sent):
        raise Problem("not_found")
    return sent


def payment_id(sent: str) -> UUID:
    """Raises Problem: not_found, for what can be no payment's id, nor a payment request's."""
    made = payment_id_or_none(sent)
    if made is None:
        raise Problem("not_found")
    return made


def payment_named(sent: str) -> UUID:
    """As payment_id, but for commands: their key comes before what the path names, so that it is
    the ledger that says that there is no such payment."""
    return payment_id_or_none(sent) or NOBODYS


def payment_id_or_none(sent: str) -> UUID | None:
    """None for what can be no payment's id; the other ways to write a UUID are none of ours."""
    try:
        made = UUID(sent)
    except ValueError:
        return None
    return made if str(made) == sent else None


def position(sent: str) -> int:
    """Raises Problem: not_found, for what can be no position."""
    if not re.fullmatch(r"[1-9][0-9]{0,18}", sent, re.ASCII) or int(sent) >= 2**63:
        raise Problem("not_found")
    return int(sent)
