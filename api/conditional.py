"""304 where the client has the answer already: conditional requests (RFC 9110, 13.1.2)."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class Conditional:
    """Compares If-None-Match with the ETag of an answer, a hash of its body: it is made all the
    same, but not sent again."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        known = (
            Headers(scope=scope).get("if-none-match")
            if scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
            else None
        )
        if known is None:
            await self._app(scope, receive, send)
            return
        has_it = False

        async def sending(message: Message) -> None:
            nonlocal has_it
            if message["type"] == "http.response.start" and message["status"] == 200:
                has_it = _is_among(Headers(raw=message["headers"]).get("etag"), known)
                if has_it:
                    of_body = (b"content-length", b"content-type")
                    headers = [each for each in message["headers"] if each[0] not in of_body]
                    message = {**message, "status": 304, "headers": headers}
            elif has_it:
                message = {**message, "body": b""}
            await send(message)

        await self._app(scope, receive, sending)


def _is_among(etag: str | None, known: str) -> bool:
    """Whether the ETag is one of those that If-None-Match lists, a weak one being as good."""
    listed = {each.strip().removeprefix("W/") for each in known.split(",")}
    return etag is not None and (etag in listed or known.strip() == "*")
