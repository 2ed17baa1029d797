"""The OpenAPI document: valid, complete, and true of what the API answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import jsonschema_rs
import pytest

from api.problems import DETAILS, STATUS
from tests.fixtures.fix_api import Api, one_posting

PROBLEM = "application/problem+json"
NO_COMMANDS = {"/v1/qr/decode", "/v1/pay-codes/decode"}
DIALECT = "https://json-schema.org/draft/2020-12/schema"


@pytest.fixture(scope="module")
def document(shared_api: Api) -> dict[str, Any]:
    return dict(shared_api.get("/openapi.json", role=None).json())


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def schema(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    return {"$schema": DIALECT, **part, "components": document["components"]}


def test_the_document_is_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["version"]
    text = json.dumps(document)
    for of_3_2 in ("itemSchema", "itemEncoding", "prefixEncoding"):
        assert of_3_2 not in text
    assert "HTTPValidationError" not in text
    for name, component in document["components"]["schemas"].items():
        jsonschema_rs.meta.validate(schema(document, component))
        assert "$defs" not in component, name


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    for reference in set(references(document)):
        assert reference.startswith("#/components/schemas/")
        assert reference.rpartition("/")[2] in document["components"]["schemas"]


def test_every_operation_is_described_whole(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    tags = {tag["name"] for tag in document["tags"]}
    for method, path, operation in operations(document):
        where = f"{method} {path}"
        assert operation["summary"], where
        assert set(operation["tags"]) <= tags, where
        assert "security" in operation, where
        statuses = sorted(status for status in operation["responses"] if status < "300")
        assert statuses in (["200"], ["201"], ["200", "201"]), where
        success = operation["responses"][statuses[-1]]
        assert all("example" in content for content in success["content"].values()), where
        for status, response in operation["responses"].items():
            assert "X-Request-Id" in response["headers"], where
            if status >= "400":
                assert list(response["content"]) == [PROBLEM], where
        assert {"400", "500"} <= operation["responses"].keys(), where
        if operation["security"]:
            assert {"401", "403", "503"} <= operation["responses"].keys(), where
            assert operation["x-roles"], where
        names = {parameter["name"] for parameter in operation.get("parameters", ())}
        for content in operation.get("requestBody", {}).get("content", {}).values():
            assert "example" in content, where
        if method in ("post", "patch") and path not in NO_COMMANDS:
            assert "dry_run" in names, where
            if path != "/v1/payments/bulk":  # its lines bring their keys
                assert "Idempotency-Key" in names, where
                assert "Idempotent-Replayed" in success["headers"], where
        if "min_position" in names:
            assert "Prefer" in names, where
            assert "Ledger-Position" in success["headers"], where


def test_examples_are_what_their_schemas_say(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        for holder in (*bodies, *operation["responses"].values()):
            for content in holder["content"].values():
                if content["schema"].get("type") == "string":
                    assert isinstance(content["example"], str)
                else:
                    validator = jsonschema_rs.Draft202012Validator(
                        schema(document, content["schema"])
                    )
                    errors = [error.message for error in validator.iter_errors(content["example"])]
                    assert errors == [], f"{method} {path}"


def test_answers_are_what_their_schemas_say(shared_api: Api, document: dict[str, Any]) -> None:
    shared_api.open("cash", overdraft_limit=None)
    opened = shared_api.post("/v1/accounts", {"id": "alice", "currency": "EUR"})
    paid = shared_api.pay("cash", "alice", 5)
    refused = shared_api.pay("alice", "cash", 500)
    position = refused.json()["position"]

    def told(path: str, **named: Any) -> Any:
        return shared_api.get(path, **named)

    payments = "/v1/payments/{id}"
    answers = {
        ("post", "/v1/accounts"): opened,
        ("post", "/v1/payments"): paid,
        ("get", payments): told(f"/v1/payments/{refused.json()['payment_id']}"),
        ("get", payments + "/timeline"): told(f"/v1/payments/{paid.json()['id']}/timeline"),
        ("get", "/v1/accounts/{id}"): told("/v1/accounts/alice"),
        ("get", "/v1/accounts/{id}/balance"): told("/v1/accounts/alice/balance"),
        ("get", "/v1/accounts/{id}/holds"): told("/v1/accounts/alice/holds"),
        ("get", "/v1/accounts/{id}/statement"): told(
            "/v1/accounts/alice/statement",
            **{"from": "2026-01-01", "to": "2100-01-01", "min_position": position},
        ),
        ("get", "/v1/events"): told("/v1/events", role="auditor"),
        ("get", "/v1/events/{position}"): told("/v1/events/1", role="auditor"),
        ("get", "/v1/status"): told("/v1/status"),
        ("get", "/livez"): told("/livez"),
        ("get", "/readyz"): told("/readyz"),
        **{
            ("get", path): told(path, min_position=position)
            for path in (
                "/v1/accounts",
                "/v1/payments",
                "/v1/balances",
                "/v1/balances/total",
                "/v1/trial-balance",
                "/v1/trial-balance/accounts",
            )
        },
    }
    for (method, path), answer in answers.items():
        assert answer.status_code < 300, (path, answer.text)
        response = document["paths"][path][method]["responses"][str(answer.status_code)]
        validator = jsonschema_rs.Draft202012Validator(
            schema(document, response["content"]["application/json"]["schema"])
        )
        assert [error.message for error in validator.iter_errors(answer.json())] == [], path
    problems = jsonschema_rs.Draft202012Validator(
        schema(document, {"$ref": "#/components/schemas/Problem"})
    )
    assert problems.is_valid(refused.json())
    assert problems.is_valid(shared_api.get("/v1/accounts?limit=x").json())


def test_answers_to_steps_and_lines_are_what_their_schemas_say(
    shared_api: Api, document: dict[str, Any]
) -> None:
    shared_api.open("steps:cash", overdraft_limit=None)
    shared_api.open("steps:alice")
    limits = [{"window": "month", "max_amount": 100, "carrier": "nfc"}]
    body = one_posting("steps:cash", "steps:alice", 5)
    hold = {**body, "mode": "hold"}
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    held, other = (shared_api.post("/v1/payments", hold) for _ in range(2))
    scheduled = shared_api.post("/v1/payments", {**body, "execute_at": tomorrow})
    changed = shared_api.send("PATCH", "/v1/accounts/steps:alice", {"limits": limits}, role="admin")
    answers = [("/v1/payments", held), ("/v1/payments", scheduled), ("/v1/accounts/{id}", changed)]
    for verb, payment in (
        ("capture", held),
        ("refunds", held),
        ("void", other),
        ("cancel", scheduled),
    ):
        path = f"/v1/payments/{payment.json()['id']}/{verb}"
        answers.append((f"/v1/payments/{{id}}/{verb}", shared_api.post(path, {})))
    for path, answer in answers:
        assert answer.status_code < 300, (path, answer.text)
        method = "patch" if path == "/v1/accounts/{id}" else "post"
        response = document["paths"][path][method]["responses"][str(answer.status_code)]
        part = response["content"]["application/json"]["schema"]
        validator = jsonschema_rs.Draft202012Validator(schema(document, part))
        assert [error.message for error in validator.iter_errors(answer.json())] == [], path
    lines = shared_api.post(
        "/v1/payments/bulk",
        content=json.dumps({**body, "idempotency_key": "line"}).encode() + b"\n{}",
        headers={"Content-Type": "application/x-ndjson"},
        key=None,
    )
    operation = document["paths"]["/v1/payments/bulk"]["post"]
    part = operation["responses"]["200"]["content"]["application/x-ndjson"]["schema"]["x-line"]
    validator = jsonschema_rs.Draft202012Validator(schema(document, part))
    told = [json.loads(line) for line in lines.content.splitlines()]
    assert [one["status"] for one in told] == [201, 400]
    assert all(validator.is_valid(one) for one in told)


def test_a_line_of_a_bulk_has_a_key_and_may_have_a_code(document: dict[str, Any]) -> None:
    body = document["paths"]["/v1/payments/bulk"]["post"]["requestBody"]
    line = body["content"]["application/x-ndjson"]["schema"]["x-line"]
    taken = jsonschema_rs.Draft202012Validator(schema(document, line))
    by_code = {"pay_code": "9700", "postings": [{"credit": "a", "amount": 1, "currency": "EUR"}]}
    for payment in (one_posting("a", "b", 5), by_code):
        assert taken.is_valid({**payment, "idempotency_key": "k"})
        assert not taken.is_valid(payment)


def test_every_code_has_a_status_and_says_what_to_do() -> None:
    assert DETAILS.keys() == STATUS.keys()


def test_the_metrics_tell_of_requests_by_route_and_never_by_path(shared_api: Api) -> None:
    shared_api.get("/v1/accounts/someone")
    shared_api.get("/no/such/path")
    text = shared_api.get("/metrics", role=None).text
    assert 'tally_http_requests_total{method="GET",route="/v1/accounts/{id}",status="404"}' in text
    assert 'route="unknown",status="404"' in text
    assert "someone" not in text
    assert "such" not in text
    for name in (
        "tally_http_request_seconds_bucket",
        "tally_writer_batch_commands_count",
        "tally_writer_queued",
        "tally_commands_total",
        'tally_projection_lag{projection="balances"}',
        'tally_projection_position{projection="statements"}',
        "tally_store_end",
        'tally_projection_halted{projection="payments"} 0.0',
    ):
        assert name in text


def test_the_documentation_page_loads_nothing_from_anywhere_else(shared_api: Api) -> None:
    answer = shared_api.get("/docs", role=None)
    assert answer.headers["Content-Type"].startswith("text/html")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self';")
    assert "http" not in policy
    loaded = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert sorted(url.rsplit(".")[-1] for url in loaded) == ["css", "js", "png"]
    for url in [*loaded, "/openapi.json"]:
        assert url in answer.text
        assert not urlsplit(url).netloc
        file = shared_api.get(url, role=None)
        assert (file.status_code, len(file.content) > 1_000) == (200, True)


def test_of_the_documentation_there_is_no_other_file(shared_api: Api) -> None:
    for name in ("redoc.standalone.js", "core.py", "..%2Fcore.py", "%2Fetc%2Fpasswd"):
        answer = shared_api.get(f"/docs/{name}", role=None)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
