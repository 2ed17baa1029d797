"""A direct way to the reads that clients make most, past FastAPI's routing and dependencies.

Those are a third of what such a read takes of this process. The routes stay FastAPI's, with their
models and their place in the OpenAPI document; their handlers are called with the same models for
a plain request of a known caller. All else, every error in a request among it, goes through the
app, which says what is wrong. Tests read the same both ways.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, get_type_hints

from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api.auth import Allowed, sent_token
from api.queries import Query
from infrastructure.keys import Role

_ACCOUNT_ID: Final = "[A-Za-z0-9:._-]+"
_PAYMENT_ID: Final = "[0-9a-f-]{36}"  # `/v1/payments/bulk` is no payment
DIRECT: Final = {
    "/v1/accounts/{id}/balance": _ACCOUNT_ID,
    "/v1/accounts/{id}/statement": _ACCOUNT_ID,
    "/v1/payments/{id}": _PAYMENT_ID,
}
"""Paths of routes, and what an id in them looks like."""

_PATH: Final = re.compile("|".join(path.replace("{id}", f"({id})") for path, id in DIRECT.items()))

ErrorHandlers = Mapping[type[Exception], Callable[[Request, Exception], Awaitable[Response]]]


class _Read(NamedTuple):
    route: APIRoute
    query: type[Query]
    allowed: frozenset[Role]


class _Call(NamedTuple):
    read: _Read
    id: str
    query: Query


class DirectReads:
    """In front of `app`, whose `routes` it calls by itself; `errors` are the app's own handlers."""

    def __init__(self, app: ASGIApp, routes: Iterable[Any], errors: ErrorHandlers) -> None:
        self._app = app
        self._errors = errors
        reads = {route.path: _read(route) for route in routes if route.path in DIRECT}
        self._reads = [reads[path] for path in DIRECT]  # as the groups of _PATH

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        call = self._call(request)
        if call is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = call.read.route
        try:
            response = await call.read.route.endpoint(request, id=call.id, query=call.query)
        except tuple(self._errors) as error:
            response = await self._errors[type(error)](request, error)
        await response(scope, receive, send)

    def _call(self, request: Request) -> _Call | None:
        """What a plain request of a known caller asks for."""
        path = _PATH.fullmatch(request.scope["path"])
        if path is None:
            return None
        assert path.lastindex, "each path has its id"
        read = self._reads[path.lastindex - 1]
        sent = request.query_params
        if len(sent) < len(sent.multi_items()) or not _known(request, read.allowed):
            return None
        try:
            call = _Call(read, path[path.lastindex], read.query.model_validate(dict(sent)))
        except ValidationError:
            return None
        may = request.app.state.parts.rates.take(request.state.caller.name)
        return call if may else None


def _read(route: APIRoute) -> _Read:
    dependencies = (each.dependency for each in route.dependencies)
    (allowed,) = (each.roles for each in dependencies if isinstance(each, Allowed))
    return _Read(route, get_type_hints(route.endpoint)["query"], allowed)


def _known(request: Request, allowed: frozenset[Role]) -> bool:
    """Whether who asks is known without a question to the store, and may."""
    token = sent_token(request)
    caller = request.app.state.parts.keys.known(token) if token else None
    if caller is None or caller.role not in allowed:
        return False
    request.state.caller = caller
    return True
