"""A path with a word where another path has an id."""

from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope


class WholePath(APIRoute):
    """Takes every method of its path, to say which it has: else GET /v1/payments/bulk would read
    a payment of that id. Its router comes before that of the other path."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        return Match.FULL if match is Match.PARTIAL else match, child
