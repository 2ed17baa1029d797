"""The running API, driven by its OpenAPI document: whatever it allows is answered as it says."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    positive_data_acceptance,
)

from api.app import make_app
from api.metrics import Metrics
from api.parts import Parts
from tests.fixtures.fix_api import Api
from tests.fixtures.fix_scale import scale
from tests.schemathesis.exclusions import INVALID, REFUSALS


@schemathesis.serializer("application/x-ndjson", "image/png", "audio/wav")
def as_it_is(_: Any, value: Any) -> bytes:
    """A body of lines is text to its schema, since OpenAPI 3.1 can't say what a line is; so is
    one of bytes."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@asynccontextmanager
async def nothing_running() -> AsyncIterator[Parts]:
    raise AssertionError("only its document is asked for")
    yield


document = make_app(nothing_running, Metrics()).openapi()
schema = schemathesis.openapi.from_dict(document)


@pytest.fixture(scope="module")
def api_with_money(shared_api: Api) -> Api:
    shared_api.open("cash", overdraft_limit=None, normal_side="debit")
    shared_api.open("customers:alice", "merchants:bob")
    shared_api.pay("cash", "customers:alice", 10**9)
    return shared_api


@pytest.mark.slow
@schema.parametrize()
@settings(
    max_examples=max(30, round(300 * scale())),
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_the_api_answers_as_its_document_says(case: Any, api_with_money: Api) -> None:
    headers = {}
    roles = case.operation.definition.raw.get("x-roles")
    if roles:
        role = "client" if "client" in roles else roles[0]
        headers["Authorization"] = f"Bearer {api_with_money.keys[role]}"
    if case.meta.generation.mode.is_positive and "Idempotency-Key" in (case.headers or {}):
        headers["Idempotency-Key"] = secrets.token_hex(8)

    response = case.call(base_url=api_with_money.url, headers=headers)

    excluded: list[Any] = []
    if 400 <= response.status_code < 500 and may_be_refused(response.json()):
        excluded.append(positive_data_acceptance)
    if not_all_sent(case.query or {}, response.request.url) or lines_all_the_same(case):
        excluded.append(negative_data_rejection)
    case.validate_response(response, excluded_checks=excluded, headers=headers)


def not_all_sent(query: dict[str, Any], url: str) -> bool:
    """Whether a parameter never got into the URL, as an empty list doesn't: a query that was made
    wrong by it is right on the wire."""
    return bool(query.keys() - dict(parse_qsl(urlsplit(url).query, keep_blank_values=True)).keys())


def lines_all_the_same(case: Any) -> bool:
    """Whether a body of lines was made wrong by being no text: it is on the wire, and each line is
    answered for itself, by 200 and what is wrong with it."""
    return case.media_type == "application/x-ndjson" and not isinstance(case.body, str)


def may_be_refused(problem: dict[str, Any]) -> bool:
    if problem["code"] != "invalid_request":
        return problem["code"] in REFUSALS
    named = {
        re.sub(r"/[0-9]+/", "/*/", error.get("pointer", error.get("parameter")))
        for error in problem.get("errors", ())
    }
    return bool(named) and named <= INVALID.keys()
