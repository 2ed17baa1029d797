"""GET /p/{token}, /.well-known/jwks.json: what a payer's phone is shown, without a key of ours."""

from datetime import datetime
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api import payment_request_examples as examples
from api.answer_models import PublicKeys
from api.answers import answered
from api.operations import operation
from api.parts import parts_of
from api.paths import TokenInPath
from api.problems import Problem
from api.reading import deadline_of
from infrastructure.order_signatures import MEDIA_TYPE
from projections.payments import requests_queries as queries

router = APIRouter(tags=["payment requests"])

KEYS_KEPT_S: Final = 300
"""How long a client may keep the published keys."""


@router.get(
    "/p/{token}",
    **operation(
        "getOrder",
        "The order that a payment request's URL leads to, signed",
        description=(
            "A compact JWS (`EdDSA`, Ed25519) over `id`, `payee`, `amount`, `currency`, "
            "`revision`, `description`, `iat` and `exp`; verify it by `/.well-known/jwks.json`. "
            "Open to whoever has the URL, while the order can be paid."
        ),
        allowed=None,
        waits=True,
        positioned=True,
        answer=None,
        example=None,
        also={MEDIA_TYPE: {"schema": {"type": "string"}, "example": examples.ORDER}},
        problems=("not_found", "gone", "store_unavailable"),
    ),
)
async def get_order(request: Request, token: TokenInPath) -> Response:
    parts = parts_of(request)
    wanted = parts.request_tokens.request(token)
    if wanted is None:
        raise Problem("not_found")
    # Nobody is shown what the store knows to be changed, or over.
    latest = await parts.events.last_position_of(wanted)
    position, found = await parts.reads.find(
        "payments",
        wanted,
        latest,
        deadline_of(request),
        lambda view: queries.request(view, wanted, now=parts.reads.now(view)),
    )
    if found["state"] != "open":
        raise Problem("gone")
    signed = parts.order_signer.sign(_order(found, parts.clock()))
    headers = {"Ledger-Position": str(position), "Cache-Control": "no-store"}
    return Response(signed, media_type=MEDIA_TYPE, headers=headers)


def _order(request: dict[str, Any], now: datetime) -> dict[str, Any]:
    return {
        "id": request["id"],
        "payee": request["credit_account"],
        "amount": request["amount"],
        "currency": request["currency"],
        "revision": request["revision"],
        "description": request["description"],
        "iat": int(now.timestamp()),
        "exp": int(datetime.fromisoformat(request["expires_at"]).timestamp()),
    }


@router.get(
    "/.well-known/jwks.json",
    **operation(
        "getKeys",
        "The public keys that signed orders are verified by",
        description="While the server secret is being changed, that of the one before as well.",
        allowed=None,
        answer=PublicKeys,
        example=examples.KEYS,
    ),
)
async def get_keys(request: Request) -> Response:
    headers = {"Cache-Control": f"public, max-age={KEYS_KEPT_S}"}
    return answered(parts_of(request).order_signer.jwks, headers=headers)
