"""Requests plain enough for the short way, as commands: payments, and what follows a hold."""

import hashlib
import re
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Final, NamedTuple
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from api.codes import shown_at_once
from api.parts import Parts
from api.payment_parser import canonical, has_no_escapes, plain_payment
from application.commands import (
    CapturePayment,
    Command,
    MakePayment,
    RefundPayment,
    VoidPayment,
)
from domain.money import MAX_AMOUNT_MINOR

_PAYMENTS: Final = "/v1/payments"
_PAYMENTS_PATH: Final = _PAYMENTS.encode()
_STEP: Final = re.compile(rb"/v1/payments/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/([a-z]+)")


class _Void(Struct, forbid_unknown_fields=True, gc=False):
    pass


class _Refund(Struct, forbid_unknown_fields=True, gc=False):
    amount: Annotated[int, Meta(ge=1, le=MAX_AMOUNT_MINOR)] | UnsetType = UNSET


class _Capture(_Refund, forbid_unknown_fields=True, gc=False):
    final: bool | UnsetType = UNSET


class _Step(NamedTuple):
    route: str
    status: int
    decoder: msgspec.json.Decoder[_Void]
    command: Callable[..., Command]


_STEPS: Final = {
    b"capture": _Step(
        "/v1/payments/{id}/capture", 200, msgspec.json.Decoder(_Capture), CapturePayment
    ),
    b"void": _Step("/v1/payments/{id}/void", 200, msgspec.json.Decoder(_Void), VoidPayment),
    b"refunds": _Step(
        "/v1/payments/{id}/refunds", 201, msgspec.json.Decoder(_Refund), RefundPayment
    ),
}
_NAMES: Final = {"amount": "amount_minor"}
"""Members that a command has by another name."""


class Plain(NamedTuple):
    """A plain request."""

    route: str
    """Its template."""
    status: int
    """Of its answer, where it is accepted."""
    command: Callable[..., Command]
    """Given `id` and `actor`."""


def may_be_plain(path: bytes) -> bool:
    """Whether a POST of that path, with its query, may be plain."""
    if path == _PAYMENTS_PATH:
        return True
    step = _STEP.fullmatch(path)
    return step is not None and step[2] in _STEPS


def plain_request(path: bytes, content: bytes, parts: Parts) -> Plain | None:
    """What a POST to a path that may be plain asks for.

    None where it isn't plain, which says nothing about whether it is right.
    """
    if path != _PAYMENTS_PATH:
        return _plain_step(path, content)
    plain = plain_payment(content)
    if plain is None or plain.key is not None:
        return None
    order, fingerprint, code = plain.asked
    shown = None if code is None else shown_at_once(code, parts)
    if shown is None and code is not None:
        return None
    command = partial(MakePayment, fingerprint=fingerprint, order=order, shown=shown)
    return Plain(_PAYMENTS, 201, command)


def _plain_step(path: bytes, content: bytes) -> Plain | None:
    found = _STEP.fullmatch(path)
    assert found is not None
    step = _STEPS[found[2]]
    if not has_no_escapes(content):
        return None
    try:
        sent = msgspec.structs.asdict(step.decoder.decode(content))
    except msgspec.MsgspecError:
        return None
    members: dict[str, Any] = {name: value for name, value in sent.items() if value is not UNSET}
    if content.count(b'"') != 2 * len(members):
        return None  # a member was there twice
    command = partial(
        step.command,
        fingerprint=hashlib.sha256(canonical(["POST", path.decode(), members])).digest(),
        payment=UUID(found[1].decode()),
        **{_NAMES.get(name, name): value for name, value in members.items()},
    )
    return Plain(step.route, step.status, command)
