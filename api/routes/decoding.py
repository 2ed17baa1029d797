"""POST /v1/qr/decode, /v1/pay-codes/decode: what is in a picture, a recording, an NDEF message.

They look at what is sent alone: nothing is fetched or recorded, and no code is looked up.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api import examples
from api.answer_models import CodeRead, QrRead
from api.answers import answered
from api.auth import PAYS
from api.models import QrTextBody
from api.operations import BINARY, json_content, operation
from api.parts import parts_of
from api.problems import Problem, body_error, invalid
from api.requests import media_type, parsed, read_content, require_media_type, understood
from api.whole_path import WholePath
from domain.code_digits import is_code
from infrastructure.carriers import emvco
from infrastructure.carriers.decoders import Busy
from infrastructure.carriers.failures import CarrierUnavailable, TooLarge
from infrastructure.carriers.nfc import read_ndef
from infrastructure.carriers.pictures import read_qr, read_qr_or_barcode
from infrastructure.carriers.shop_qr import TOKEN
from infrastructure.carriers.sound import read_wav

router = APIRouter(tags=["carriers"], route_class=WholePath)

MAX_FILE_BYTES: Final = 4 * 1024 * 1024
JSON: Final = "application/json"
PNG: Final = "image/png"
READERS: Final[dict[str, Callable[[bytes], list[str]]]] = {
    PNG: read_qr_or_barcode,
    "audio/wav": read_wav,
    "application/octet-stream": read_ndef,
}
"""Of a pay code, by media type."""

_LOOKS_LIKE_A_CODE: Final = re.compile("[0-9]{24}")


@router.post(
    "/v1/qr/decode",
    **operation(
        "decodeQr",
        "What a QR code says",
        description=(
            "Its text, or a picture of it. `emvco`: a shop's code, ours or another's; `url`: the "
            "link of a payment request of ours; `pay_code`: the digits of one. Nothing is fetched, "
            "and whether a code is live isn't told."
        ),
        allowed=PAYS,
        takes={**json_content(QrTextBody, examples.QR_TEXT_BODY), PNG: BINARY},
        answer=QrRead,
        example=examples.QR_READ,
        problems=("overloaded",),
    ),
)
async def decode_qr(request: Request) -> Response:
    content = await read_content(request, MAX_FILE_BYTES)
    if media_type(request) == PNG:
        return answered(_meaning(request, await _only_text(request, read_qr, content), at=()))
    require_media_type(request, JSON)
    body, _ = understood(parsed(content), QrTextBody, request.method, request.scope["path"])
    return answered(_meaning(request, body.text, at=("text",)))


@router.post(
    "/v1/pay-codes/decode",
    **operation(
        "decodePayCode",
        "The pay code in a picture, a sound or an NDEF message",
        description=(
            "A PNG of at most 16 megapixels with a QR code or a Code 128 barcode; a WAV of 16 "
            "bits, at most 10 seconds, 16 to 96 kHz; or an NDEF message with a URI record "
            "`tally:pay?c=CODE`. Whether the code is live isn't told."
        ),
        allowed=PAYS,
        takes=dict.fromkeys(READERS, BINARY),
        answer=CodeRead,
        example=examples.CODE_READ,
        problems=("overloaded", "carrier_unavailable"),
    ),
)
async def decode_pay_code(request: Request) -> Response:
    content = await read_content(request, MAX_FILE_BYTES)
    reader = READERS.get(media_type(request))
    if reader is None:
        wanted = ", ".join(READERS)
        raise Problem("unsupported_media_type", f"Send one of the media types {wanted}.")
    code = await _only_text(request, reader, content)
    if not is_code(code):
        raise _unreadable((), "wrong_format", "What is there is no pay code.")
    return answered({"code": code})


async def _only_text(request: Request, reader: Callable[[bytes], list[str]], content: bytes) -> str:
    try:
        texts = await parts_of(request).decoders.read(reader, content)
    except TooLarge as error:
        raise Problem("body_too_large", str(error)) from None
    except CarrierUnavailable:
        raise Problem("carrier_unavailable") from None
    except Busy:
        raise Problem("overloaded") from None
    if not texts:
        raise _unreadable((), "not_readable", "Nothing readable is there.")
    if len(texts) > 1:
        raise _unreadable((), "several_codes", "Several codes are there; send one.")
    return texts[0]


def _meaning(request: Request, text: str, *, at: tuple[str, ...]) -> dict[str, Any]:
    """What the text of a QR code is; `at` is where it stood in the body. Raises Problem."""
    if _LOOKS_LIKE_A_CODE.fullmatch(text):
        if not is_code(text):
            raise _unreadable(at, "wrong_check_digit", "A digit of this pay code is wrong.")
        return {"kind": "pay_code"}
    links = parts_of(request).public_url + "/p/"
    if text.startswith(links):
        token = text.removeprefix(links)
        if not TOKEN.fullmatch(token):
            raise _unreadable(at, "wrong_format", "This link of ours is not whole.")
        return {"kind": "url", "token": token}
    try:
        fields = emvco.parse(text)
        amount = emvco.amount_minor(fields)
    except emvco.NotEmvco as error:
        told = f"Neither a pay code, nor a link of ours, nor an EMVCo text: {error}."
        raise _unreadable(at, "wrong_format", told) from None
    return {
        "kind": "emvco",
        "fields": fields,
        "currency": emvco.currency(fields),
        "amount": amount,
    }


def _unreadable(at: tuple[str, ...], code: str, detail: str) -> Problem:
    return invalid([body_error(at, code, detail)])
