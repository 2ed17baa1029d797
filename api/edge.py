"""The outermost layer: request ids, the access log, metrics, and 500 for what nobody caught."""

import logging
import time
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access import AccessLog
from api.problems import Problem
from api.request_ids import request_id

_log = logging.getLogger(__name__)


class Edge:
    def __init__(self, app: ASGIApp, access: AccessLog) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        id_ = request_id(Headers(scope=scope).get("x-request-id"))
        scope.setdefault("state", {})["request_id"] = id_
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = id_
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception:
            _log.exception("a request failed", extra={"request_id": id_})
            if status:
                raise  # the answer is under way: the connection must break, not end well
            await Problem("internal").response(id_)(scope, receive, sending)
        finally:
            self._access.tell(
                request_id=id_,
                method=scope["method"],
                route=route_template(scope),
                status=status,
                took_s=time.perf_counter() - began,
                caller=scope["state"].get("caller"),
            )


def route_template(scope: Scope) -> str:
    """`/v1/accounts/{id}`: never the path itself, which has as many values as clients."""
    route: Any = scope.get("route")
    return str(getattr(route, "path", "unknown"))
