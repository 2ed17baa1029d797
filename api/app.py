"""The FastAPI app: its routes, its layers, and what every error looks like."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp

from api import openapi
from api.access import AccessLog
from api.conditional import Conditional
from api.direct_reads import DirectReads, ErrorHandlers
from api.edge import Edge
from api.metrics import Metrics
from api.operations import query_problem
from api.parts import Parts
from api.problems import Problem
from api.request_ids import request_id_of
from api.routes import (
    account_commands,
    account_qr,
    accounts,
    balances,
    bulk,
    decoding,
    devices,
    docs,
    events,
    health,
    holds,
    orders,
    pay_codes,
    payment_commands,
    payment_request_commands,
    payment_requests,
    payments,
    reports,
    statements,
    trial_balance,
)
from api.short_way import ShortWay
from application.ports import StoreUnavailable

ROUTERS: tuple[APIRouter, ...] = (
    account_commands.router,
    accounts.router,
    account_qr.router,
    payment_commands.router,
    bulk.router,
    payments.router,
    payment_request_commands.router,
    payment_requests.router,
    orders.router,
    decoding.router,
    pay_codes.router,
    devices.router,
    balances.router,
    holds.router,
    statements.router,
    reports.router,
    trial_balance.router,
    events.router,
    health.router,
    docs.router,
)

Running = Callable[[], AbstractAsyncContextManager[Parts]]
"""Starts the parts and ends them: api/composition/rest.py."""


def make_app(running: Running, metrics: Metrics) -> FastAPI:
    """The app over parts that live as long as its lifespan."""

    access = AccessLog(metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with running() as parts:
            app.state.parts = parts
            app.state.short_way = ShortWay(parts, access)
            yield

    app = App(
        access=access,
        # Else each request looks whether somebody has turned them on.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        title="Tallystick",
        lifespan=lifespan,
        openapi_url=None,  # it and /docs are routes of ours: see routes/docs.py
        redirect_slashes=False,
        exception_handlers={
            **ERRORS,
            RequestValidationError: _invalid_query,
            HTTPException: _http_error,
        },
    )
    for router in ROUTERS:
        app.include_router(router)
    document: dict[str, Any] = {}

    def openapi_document() -> dict[str, Any]:
        if not document:
            document.update(openapi.document(app))
        return document

    app.openapi = openapi_document  # type: ignore[method-assign]
    return app


class App(FastAPI):
    """FastAPI with our edge around it."""

    def __init__(self, *, access: AccessLog, **settings: Any) -> None:
        super().__init__(**settings)
        self._access = access

    def build_middleware_stack(self) -> ASGIApp:
        routes = [route for router in ROUTERS for route in router.routes]
        stack = super().build_middleware_stack()
        # It would answer a defect in words of its own, and break the connection: Edge doesn't.
        assert isinstance(stack, ServerErrorMiddleware)
        direct = DirectReads(stack.app, routes, ERRORS)
        return Edge(Conditional(direct), self._access)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response(request_id_of(request.scope))


async def _store_unavailable(request: Request, error: Exception) -> Response:
    """Of a read; what a command makes of it is in api/commands.py."""
    return await _problem(request, Problem("store_unavailable"))


ERRORS: Final[ErrorHandlers] = {Problem: _problem, StoreUnavailable: _store_unavailable}
"""What handlers raise."""


async def _invalid_query(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return await _problem(request, query_problem(error.errors()))


async def _http_error(request: Request, error: Exception) -> Response:
    """What the router itself says: no such path, no such method."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = ", ".join(sorted(_methods(request)))
        return await _problem(request, Problem("method_not_allowed", headers={"Allow": allowed}))
    code = "not_found" if error.status_code == 404 else "invalid_request"
    return await _problem(request, Problem(code))


def _methods(request: Request) -> set[str]:
    """Of all routes of this path: the router itself names those of the first one alone.

    The first that matches says which path it is: another may take its last word for an id.
    """
    matching = [
        route
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and route.matches(request.scope)[0] is not Match.NONE
    ]
    return {
        method
        for route in matching
        if route.path == matching[0].path
        for method in route.methods or ()
    }
