"""How a route is declared: who may, what it takes and answers, and every problem it may have.

`operation(...)` gives the keyword arguments of a FastAPI route. Its bodies and answers are not
FastAPI's to convert: a handler reads bytes (api/requests.py) and gives bytes (api/answers.py),
and what is declared here is what the OpenAPI document says of it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from fastapi import Depends
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from api.auth import Allowed
from api.problems import (
    MEDIA_TYPE,
    RETRY_AFTER_S,
    STATUS,
    Problem,
    invalid,
    parameter_error,
)
from api.requests import KEY
from infrastructure.keys import Role

ALWAYS: Final = ("invalid_request", "internal")
OF_KEYS: Final = ("unauthenticated", "forbidden", "rate_limited", "store_unavailable")
OF_BODIES: Final = ("body_too_large", "unsupported_media_type")
OF_COMMANDS: Final = (
    *OF_BODIES,
    "idempotency_key_missing",
    "idempotency_key_reused",
    "overloaded",
    "storage_full",
)
LINES: Final = "application/x-ndjson"
BINARY: Final = {"schema": {"type": "string", "format": "binary"}, "example": "…"}
"""A body of bytes."""
OF_READS: Final = ("position_unknown", "not_caught_up")
OF_ACCOUNTS: Final = (
    "account_unknown",
    "account_closed",
    "account_frozen",
    "currency_mismatch",
)


def operation(
    operation_id: str,
    summary: str,
    *,
    allowed: frozenset[Role] | None,
    answer: type[BaseModel] | None,
    example: Any,
    description: str = "",
    status: int = 200,
    body: type[BaseModel] | None = None,
    body_example: Any = None,
    waits: bool = False,
    positioned: bool = False,
    problems: Iterable[str] = (),
    also: dict[str, Any] | None = None,
    lines: bool = False,
    takes: Mapping[str, Any] = MappingProxyType({}),
    flags: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Keyword arguments of a route.

    `allowed` are the roles (None: no key needed); `waits` says that it takes `Prefer`;
    `positioned`, that it answers with `Ledger-Position`, JSON with an `ETag` as well; `problems`
    are codes beyond the usual ones; `also` is the content in other media types; `lines` says that
    body and answer are JSON lines of those models, which bring their keys; `takes` is the content,
    by media type, of a body that is no command; `flags` are query parameters that are true or
    false, and what each says. Every command takes `dry_run`.
    """
    codes = [*ALWAYS, *problems]
    headers: dict[str, Any] = {"X-Request-Id": _REQUEST_ID}
    if body is not None:
        flags = {"dry_run": _DRY_RUN, **flags}
    parameters = [_flag(name, told) for name, told in flags.items()]
    dependencies: list[Any] = []
    if allowed is not None:
        codes += OF_KEYS
        dependencies.append(Depends(Allowed(allowed)))
    if lines or takes:
        codes += OF_BODIES
    elif body is not None:
        codes += OF_COMMANDS
        parameters.append(_IDEMPOTENCY_KEY)
        headers["Idempotent-Replayed"] = _REPLAYED
    if waits:
        codes += OF_READS
        parameters.append(_PREFER)
    if positioned:
        headers["Ledger-Position"] = _LEDGER_POSITION
    conditional = positioned and answer is not None  # as api/answers.py `read` answers
    if conditional:
        headers["ETag"] = _ETAG
        parameters.append(_IF_NONE_MATCH)
    media = _lines if lines else json_content
    content = {} if answer is None else media(answer, example)
    success = {"description": summary, "headers": headers, "content": content | (also or {})}
    successes = _successes(status, success, conditional=conditional)
    extra: dict[str, Any] = {
        "parameters": parameters,
        "security": [] if allowed is None else [{"key": []}],
    }
    if allowed is not None:
        extra["x-roles"] = sorted(allowed)
    if body is not None:
        required = not lines and any(field.is_required() for field in body.model_fields.values())
        extra |= _body(media(body, body_example), required=required)
    return {
        "operation_id": operation_id,
        "summary": summary,
        "description": description,
        "status_code": status,
        "response_class": Response,
        "response_description": summary,
        "dependencies": [*dependencies, Depends(OnlyKnownParameters(flags))],
        "responses": {**successes, **_problems(codes)},
        "openapi_extra": extra | (_body(takes, required=True) if takes else {}),
    }


def _successes(
    status: int, success: dict[str, Any], *, conditional: bool
) -> dict[int | str, dict[str, Any]]:
    """And what else is as good an answer, by status."""
    successes: dict[int | str, dict[str, Any]] = {status: success}
    if status == 201:
        successes[200] = {**success, "description": "The answer of a dry run"}
    if conditional:
        told = "The client has it: its ETag is among those of If-None-Match"
        successes[304] = {**success, "description": told, "content": {}}
    return successes


class OnlyKnownParameters:
    """A dependency: refuses query parameters given twice, and those the route doesn't take.

    Where a route has a model of its parameters, that refuses what it doesn't know.
    """

    def __init__(self, flags: Iterable[str]) -> None:
        self._flags = frozenset(flags)

    async def __call__(self, request: Request) -> None:
        """Raises Problem: invalid_request."""
        names = [name for name, _ in request.query_params.multi_items()]
        if not names:
            return
        modelled = bool(request.scope["route"].dependant.query_params)
        errors = [
            parameter_error(name, "given_twice", "Give this parameter once.")
            for name in dict.fromkeys(names)
            if names.count(name) > 1
        ]
        if not modelled:
            errors += [
                parameter_error(name, "unknown_parameter", "This parameter is not known here.")
                for name in dict.fromkeys(names)
                if name not in self._flags
            ]
        if errors:
            raise invalid(errors)


def query_problem(errors: Sequence[Any]) -> Problem:
    """What FastAPI found wrong with the query parameters, in our words, without the values."""
    told = []
    for error in errors:
        name = str(error["loc"][1]) if len(error["loc"]) > 1 else ""
        match error["type"]:
            case "extra_forbidden":
                code, detail = "unknown_parameter", "This parameter is not known here."
            case "missing":
                code, detail = "missing", "This parameter is required."
            case "value_error":
                code, detail = "wrong_format", str(error["ctx"]["error"])
            case _:
                code, detail = "not_allowed", f"{error['msg']}."
        told.append(parameter_error(name, code, detail))
    return invalid(told)


def ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def json_content(model: type[BaseModel], example: Any) -> dict[str, Any]:
    return {"application/json": {"schema": ref(model), "example": example}}


def _lines(model: type[BaseModel], example: Iterable[Any]) -> dict[str, Any]:
    """OpenAPI 3.1 has no word for the schema of a line: `x-line` is ours."""
    text = "".join(json.dumps(line) + "\n" for line in example)
    schema = {"type": "string", "x-line": ref(model)}
    return {LINES: {"schema": schema, "example": text}}


def _body(content: Mapping[str, Any], *, required: bool) -> dict[str, Any]:
    return {"requestBody": {"required": required, "content": dict(content)}}


def _flag(name: str, told: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "description": told,
        "schema": {"type": "boolean", "default": False},
    }


def _problems(codes: Iterable[str]) -> dict[int | str, dict[str, Any]]:
    by_status: dict[int | str, dict[str, Any]] = {}
    for status in sorted({STATUS[code] for code in codes}):
        told = sorted({code for code in codes if STATUS[code] == status})
        headers: dict[str, Any] = {"X-Request-Id": _REQUEST_ID}
        if status == 401:
            headers["WWW-Authenticate"] = {"schema": {"type": "string"}}
        if status in RETRY_AFTER_S:
            headers["Retry-After"] = _RETRY_AFTER
        if status == 422:
            headers["Idempotent-Replayed"] = _REPLAYED
        example = Problem(told[0]).document("3f2c9a1e")
        by_status[status] = {
            "description": ", ".join(f"`{code}`" for code in told),
            "headers": headers,
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "example": example,
                }
            },
        }
    return by_status


_REQUEST_ID: Final = {
    "description": "The request's id: the client's X-Request-Id where it is safe, else made here",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,64}$"},
}
_REPLAYED: Final = {
    "description": "`true` where this is the first answer again",
    "schema": {"type": "string", "const": "true"},
}
_LEDGER_POSITION: Final = {
    "description": "The position that the answer is true at",
    "required": True,
    "schema": {"type": "integer", "minimum": 0},
}
_ETAG: Final = {
    "description": "Of this very body",
    "schema": {"type": "string", "pattern": '^"[0-9a-f]{32}"$'},
}
_RETRY_AFTER: Final = {
    "description": "Seconds after which to try again",
    "required": True,
    "schema": {"type": "integer", "minimum": 0},
}
_DRY_RUN: Final = (
    "The answer that it would give (200 where it would be 201), with nothing recorded; needs no "
    "`Idempotency-Key`"
)
_IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": (
        "Required, but for a dry run. The same key with the same request gets the first answer "
        'again, for ever; `"k"` is the same key as `k`'
    ),
    "schema": {"type": "string", "pattern": KEY},
    "example": "order-17",
}
_IF_NONE_MATCH: Final = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The `ETag` of an earlier answer: 304 without a body where it is the same",
    "schema": {"type": "string"},
    "example": '"9a0364b9e99bb480dd25e1f0284c8555"',
}
_PREFER: Final = {
    "name": "Prefer",
    "in": "header",
    "description": "`wait=S`: wait S seconds at most (1; more than 30 is 30)",
    "schema": {"type": "string"},
    "example": "wait=5",
}
