"""Which media type a client asks for (RFC 9110, 12.5.1), where an answer has two forms."""

from starlette.requests import Request


def prefers(request: Request, media_type: str) -> bool:
    """Whether `Accept` names that type, and `application/json` not above it."""
    weights = {"application/json": 0.0, media_type: 0.0}
    for part in ",".join(request.headers.getlist("accept")).split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if name in weights:
            weights[name] = max(weights[name], _weight(parameters))
    return weights[media_type] > 0 and weights[media_type] >= weights["application/json"]


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0
