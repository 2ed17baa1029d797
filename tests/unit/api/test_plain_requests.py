"""Steps of a payment are taken from bytes as the models take them, or left to them."""

from __future__ import annotations

import json
from typing import Any, cast
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.models import CaptureBody, EmptyBody, RefundBody
from api.parts import Parts
from api.plain_requests import may_be_plain, plain_request
from api.problems import Problem
from api.requests import parsed, understood
from application.commands import CapturePayment, Command, RefundPayment, VoidPayment
from domain.events import Actor

PAYMENT = UUID("907b348d-01bd-505b-bd56-4dc9fbcdc328")
WHO: dict[str, Any] = {"id": UUID(int=5), "actor": Actor("shop", "key-1", "request-1")}
MODELS = {"capture": CaptureBody, "void": EmptyBody, "refunds": RefundBody}
NO_PARTS = cast(Parts, None)
"""Only payments by code ask them."""


def path_of(step: str) -> bytes:
    return f"/v1/payments/{PAYMENT}/{step}".encode()


def taken(step: str, content: bytes) -> Command | None:
    plain = plain_request(path_of(step), content, NO_PARTS)
    return plain and plain.command(**WHO)


def by_the_models(step: str, content: bytes) -> Command:
    path = path_of(step).decode()
    body, meaning = understood(parsed(content), MODELS[step], "POST", path)
    terms: dict[str, Any] = {**WHO, "fingerprint": meaning, "payment": PAYMENT}
    if isinstance(body, CaptureBody):
        return CapturePayment(amount_minor=body.amount, final=body.final, **terms)
    if isinstance(body, RefundBody):
        return RefundPayment(amount_minor=body.amount, **terms)
    return VoidPayment(**terms)


@pytest.mark.parametrize(
    ("step", "content"),
    [
        ("capture", b"{}"),
        ("capture", b'{"amount": 7}'),
        ("capture", b'{"final":false,"amount":9007199254740991}'),
        ("void", b" { } "),
        ("refunds", b"{}"),
        ("refunds", b'{\n"amount" : 1 }'),
    ],
)
def test_plain_steps_are_taken_as_the_models_take_them(step: str, content: bytes) -> None:
    assert may_be_plain(path_of(step))
    assert taken(step, content) == by_the_models(step, content)


@pytest.mark.parametrize(
    ("step", "content"),
    [
        ("capture", b""),
        ("capture", b"[]"),
        ("capture", b'{"amount": 0}'),
        ("capture", b'{"amount": 7.0}'),
        ("capture", b'{"amount": 9007199254740992}'),
        ("capture", b'{"amount": null}'),
        ("capture", b'{"final": 1}'),
        ("capture", b'{"amount": 7, "amount": 7}'),
        ("capture", b'{"\\u0061mount": 7}'),
        ("refunds", b'{"final": true}'),
        ("void", b'{"amount": 7}'),
        ("void", b"{}{}"),
    ],
)
def test_other_steps_are_left_to_the_models(step: str, content: bytes) -> None:
    assert taken(step, content) is None


@pytest.mark.parametrize(
    "path",
    [
        b"/v1/payments?dry_run=true",
        b"/v1/payments/bulk",
        path_of("capture") + b"?dry_run=true",
        path_of("capture").upper(),
        path_of("cancel"),
        b"/v1/payments/%39" + path_of("void")[14:],
        b"/v1/payments/907b348d01bd505bbd564dc9fbcdc328/void",
        b"/v1/accounts",
    ],
)
def test_other_paths_are_left_to_their_routes(path: bytes) -> None:
    assert not may_be_plain(path)


amounts = st.one_of(
    st.none(), st.integers(-1, 3), st.integers(2**53 - 2, 2**53 + 1), st.floats(), st.text()
)
bodies = st.fixed_dictionaries(
    {}, optional={"amount": amounts, "final": st.sampled_from([True, False, 0]), "more": amounts}
)


@given(st.sampled_from([*MODELS]), bodies)
def test_any_step_it_takes_is_the_models_own(step: str, members: Any) -> None:
    content = json.dumps(members).encode()
    command = taken(step, content)
    if command is not None:
        try:
            expected = by_the_models(step, content)
        except Problem as problem:
            raise AssertionError(problem.members) from problem
        assert command == expected
