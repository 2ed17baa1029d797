"""A payment request as clients see it: with its URL and the text of its QR code."""

from typing import Any
from uuid import UUID

from api.parts import Parts
from infrastructure.carriers.shop_qr import AmountNotRepresentable

LABEL_LENGTH = 25
"""The standard's; the beginning of its id tells one request from the others."""


def shown(resource: dict[str, Any], parts: Parts) -> dict[str, Any]:
    """The resource with `url` and `qr_text` for what they are made of."""
    token = token_of(resource, parts)
    try:
        text = None if token is None else qr_text(resource, token, parts)
    except AmountNotRepresentable:
        text = None
    told = {name: value for name, value in resource.items() if name != "token_key"}
    url = None if token is None else f"{parts.public_url}/p/{token}"
    return {**told, "url": url, "qr_text": text}


def token_of(resource: dict[str, Any], parts: Parts) -> str | None:
    """None where the secret that it is made with is live no more."""
    return parts.request_tokens.token(UUID(resource["id"]), resource["token_key"])


def qr_text(resource: dict[str, Any], token: str, parts: Parts) -> str:
    """Raises AmountNotRepresentable."""
    return parts.shop_qr.of_request(
        token,
        account=resource["credit_account"],
        currency=resource["currency"],
        amount_minor=resource["amount"],
        label=resource["id"].replace("-", "")[:LABEL_LENGTH],
    )
