"""What is wrong with a command on what there is: its members, parameters, and ids in its path."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from tests.fixtures.fix_api import Api, one_posting


@pytest.mark.parametrize(
    ("step", "body", "pointer", "code"),
    [
        ("capture", {"amount": 0}, "/amount", "too_small"),
        ("capture", {"amount": 2**53}, "/amount", "too_large"),
        ("capture", {"amount": "all"}, "/amount", "wrong_type"),
        ("capture", {"final": 1}, "/final", "wrong_type"),
        ("capture", {"reason": "x"}, "/reason", "unknown_member"),
        ("void", {"amount": 5}, "/amount", "unknown_member"),
        ("cancel", {"reason": "x"}, "/reason", "unknown_member"),
        ("refunds", {"amount": 1.0}, "/amount", "wrong_type"),
        ("refunds", {"final": True}, "/final", "unknown_member"),
    ],
)
def test_a_step_of_a_payment_points_at_a_member_too(
    shared_api: Api, step: str, body: dict[str, Any], pointer: str, code: str
) -> None:
    answer = shared_api.post(f"/v1/payments/nothing/{step}", body, key=None)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["pointer"], error["code"]) == (400, pointer, code)


@pytest.mark.parametrize(
    ("limits", "pointer", "code"),
    [
        ({}, "/limits", "wrong_type"),
        ([5], "/limits/0", "wrong_type"),
        ([{"window": "week", "max_count": 1}], "/limits/0/window", "not_allowed"),
        ([{"max_count": 1}], "/limits/0/window", "missing"),
        ([{"window": "day", "max_count": -1}], "/limits/0/max_count", "too_small"),
        ([{"window": "day", "max_amount": 2**53}], "/limits/0/max_amount", "too_large"),
        ([{"window": "day", "max_count": True}], "/limits/0/max_count", "wrong_type"),
        ([{"window": "day", "max_count": 1, "carrier": "x"}], "/limits/0/carrier", "not_allowed"),
        ([{"window": "day", "max_count": 1, "colour": None}], "/limits/0/colour", "unknown_member"),
        ([{"window": "day"}], "/limits", "wrong_format"),
        ([{"window": "day", "max_count": None}], "/limits", "wrong_format"),
        ([{"window": "day", "max_count": 1}] * 2, "/limits", "wrong_format"),
        (
            [
                {"window": "day", "max_count": 1, "carrier": None},
                {"window": "day", "max_amount": 1},
            ],
            "/limits",
            "wrong_format",
        ),
    ],
)
def test_limits_at_fault_are_pointed_at(
    shared_api: Api, limits: Any, pointer: str, code: str
) -> None:
    answer = shared_api.send("PATCH", "/v1/accounts/nobody", {"limits": limits}, role="admin")
    assert answer.status_code == 400
    assert (pointer, code) in [(one["pointer"], one["code"]) for one in answer.json()["errors"]]


@pytest.mark.parametrize(
    ("path", "parameter", "code"),
    [
        ("/v1/payments?dry-run=true", "dry-run", "unknown_parameter"),
        ("/v1/payments?atomic=true", "atomic", "unknown_parameter"),
        ("/v1/payments?dry_run=true&dry_run=true", "dry_run", "given_twice"),
        ("/v1/payments?dry_run=", "dry_run", "not_allowed"),
        ("/v1/payments?dry_run=1", "dry_run", "not_allowed"),
        ("/v1/payments?dry_run=True", "dry_run", "not_allowed"),
    ],
)
def test_a_commands_query_parameter_at_fault_is_named(
    shared_api: Api, path: str, parameter: str, code: str
) -> None:
    answer = shared_api.post(path, one_posting("cash", "alice", 5))
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["parameter"], error["code"]) == (400, parameter, code)


@pytest.mark.parametrize(
    "path", ["/v1/accounts/%00/close", "/v1/accounts/%FF/freeze", "/v1/accounts/x%0Ay/unfreeze"]
)
def test_an_unknown_account_in_a_commands_path_is_not_found(shared_api: Api, path: str) -> None:
    answer = shared_api.post(path, {"reason": "test"}, role="admin")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "id", ["nothing", "%00", "0F7D2C9E-6A53-5A0B-9D44-0C5A3A0F7B11", str(UUID(int=0)), "x" * 500]
)
@pytest.mark.parametrize("step", ["capture", "void", "cancel", "refunds"])
def test_an_unknown_payment_in_a_commands_path_is_not_found(
    shared_api: Api, step: str, id: str
) -> None:
    answer = shared_api.post(f"/v1/payments/{id}/{step}", {})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
