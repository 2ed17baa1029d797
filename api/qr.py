"""QR codes of shops as answers: `?as=svg`, `png` or `text`."""

import asyncio
from typing import Any, Final

from starlette.responses import Response

from api import examples
from api.operations import BINARY
from api.queries import QrForm
from infrastructure.carriers.pictures import qr_png, qr_svg

SVG: Final = "image/svg+xml"
PNG: Final = "image/png"
TEXT: Final = "text/plain"

CONTENT: Final[dict[str, Any]] = {
    SVG: {"schema": {"type": "string"}, "example": "<svg …"},
    PNG: BINARY,
    TEXT: {"schema": {"type": "string"}, "example": examples.QR_TEXT},
}
"""What the document says of such an answer."""


async def drawn(text: str, form: QrForm, position: int) -> Response:
    """The code with this text, which is true at that position."""
    match form:
        # Beside the loop: others would notice twenty milliseconds.
        case "svg":
            content, media_type = await asyncio.to_thread(qr_svg, text), SVG
        case "png":
            content, media_type = await asyncio.to_thread(qr_png, text), PNG
        case "text":
            content, media_type = text.encode(), TEXT
    headers = {"Ledger-Position": str(position)}
    return Response(content, media_type=media_type, headers=headers)
