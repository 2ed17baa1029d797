"""The OpenAPI 3.1 document: FastAPI's, with our schemas, answers and examples as declared."""

from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import RouteContext, iter_route_contexts
from pydantic import RootModel
from pydantic.json_schema import models_json_schema

from api import answer_models, code_answer_models, code_models, models, payment_request_models
from api.requests import RequestBody

_DESCRIPTION: Final = """\
A payments ledger: commands over REST become immutable events; balances and statements are read
from what they make.

Amounts are integers in minor units. Errors are `application/problem+json` with a stable `code`.
Every command takes an `Idempotency-Key`, and answers the same for ever."""

_TAGS: Final = [
    {"name": "accounts", "description": "Open, change and read accounts"},
    {"name": "payments", "description": "Move money, and read what became of it"},
    {"name": "payment requests", "description": "A shop asks to be paid, a payer's phone answers"},
    {"name": "pay codes", "description": "Codes that a payer shows, and phones that make them"},
    {"name": "balances", "description": "What is posted, pending and available, now and then"},
    {"name": "statements", "description": "An account's entries over a period"},
    {"name": "carriers", "description": "Read what a QR code, a sound or an NFC tag carries"},
    {"name": "events", "description": "The history itself, for auditors"},
    {"name": "operations", "description": "Whether all is well"},
]


def product_version() -> str:
    try:
        return version("tallystick")
    except PackageNotFoundError:
        return "0"


def document(app: FastAPI) -> dict[str, Any]:
    made = get_openapi(
        title="Tallystick",
        version=product_version(),
        summary="A self-hosted payments ledger",
        description=_DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        tags=_TAGS,
        routes=app.routes,
    )
    made["servers"] = [{"url": "/"}]
    for route in iter_route_contexts(app.routes):
        if route.include_in_schema and route.path in made["paths"]:
            for method in route.methods or ():
                _restore(made["paths"][route.path][method.lower()], route)
    components = made.setdefault("components", {})
    components["schemas"] = _schemas()
    components["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "tk_…",
            "description": "An API key; each operation names the roles it serves in `x-roles`",
        }
    }
    return made


def _restore(operation: dict[str, Any], declared: RouteContext) -> None:
    """What api/operations.py declared, as it did: FastAPI drops every null, those of examples
    too, and adds answers of its own."""
    operation["responses"] = {
        str(status): response for status, response in declared.responses.items()
    }
    if "requestBody" in declared.openapi_extra:
        operation["requestBody"] = declared.openapi_extra["requestBody"]


def _schemas() -> dict[str, Any]:
    answers = [
        model
        for where in (answer_models, code_answer_models)
        for model in vars(where).values()
        if isinstance(model, type)
        and issubclass(model, answer_models.Answer)
        and model not in (answer_models.Answer, answer_models.ListAnswer)
    ]
    bodies = [
        model
        for where in (models, code_models, payment_request_models)
        for model in vars(where).values()
        if isinstance(model, type)
        and issubclass(model, RequestBody | RootModel)
        and model not in (RequestBody, RootModel)
    ]
    _, told = models_json_schema(
        [(model, "validation") for model in (*answers, *bodies)],
        ref_template="#/components/schemas/{model}",
    )
    schemas: dict[str, Any] = told["$defs"]
    schemas["Problem"] = answer_models.ProblemDocument.model_json_schema(
        ref_template="#/components/schemas/{model}"
    )
    schemas["Problem"].pop("$defs", None)
    return dict(sorted(schemas.items()))
