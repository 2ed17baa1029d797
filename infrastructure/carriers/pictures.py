"""QR codes and barcodes: written as PNG and SVG, and read from PNG."""

import io
import struct
from typing import Final

import segno
import zxingcpp
from PIL import Image

from infrastructure.carriers.failures import TooLarge

MAX_PIXELS: Final = 16_000_000

_QR_SCALE: Final = 8
_BARCODE_SCALE: Final = 4
"""Pixels of the smallest square, and of the thinnest bar."""

_HEADER: Final = struct.Struct(">8sI4sII")
"""Of a PNG: its signature, length and name of the first chunk, width and height."""
_BROKEN: Final = (OSError, ValueError, SyntaxError, IndexError, AssertionError)
"""As pillow says that a PNG is broken, and what it overlooks in some that are."""
_PNG: Final = (b"\x89PNG\r\n\x1a\n", b"IHDR")


def qr_png(text: str) -> bytes:
    return _qr(text, "png")


def qr_svg(text: str) -> bytes:
    return _qr(text, "svg")


def qr_for_terminals(text: str) -> str:
    """Of blocks alone, without escape sequences: dark on light where a terminal is dark."""
    out = io.StringIO()
    segno.make_qr(text, error="m").terminal(out, compact=True)
    return out.getvalue()


def barcode_png(code: str) -> bytes:
    """Code 128 of digits or other ASCII text."""
    pixels = _code_128(code).to_image(scale=_BARCODE_SCALE)
    height, width = pixels.shape
    out = io.BytesIO()
    Image.frombuffer("L", (width, height), pixels, "raw", "L", 0, 1).save(out, "PNG")
    return out.getvalue()


def barcode_svg(code: str) -> bytes:
    return _code_128(code).to_svg(scale=_BARCODE_SCALE).encode()


def read_qr(content: bytes) -> list[str]:
    """The texts of the QR codes in a PNG, none twice. Raises TooLarge."""
    return _read(content, [zxingcpp.BarcodeFormat.QRCode])


def read_qr_or_barcode(content: bytes) -> list[str]:
    """The texts of the QR codes and Code 128 barcodes in a PNG, none twice. Raises TooLarge."""
    return _read(content, [zxingcpp.BarcodeFormat.QRCode, zxingcpp.BarcodeFormat.Code128])


def _read(content: bytes, formats: list[zxingcpp.BarcodeFormat]) -> list[str]:
    if len(content) < _HEADER.size:
        return []
    # Before anything makes room for the pixels.
    signature, _, name, width, height = _HEADER.unpack_from(content)
    if (signature, name) != _PNG:
        return []
    if width * height > MAX_PIXELS:
        raise TooLarge(f"Send a picture of at most {MAX_PIXELS} pixels.")
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            pixels = _grey(image)
    except _BROKEN:
        return []
    codes = zxingcpp.read_barcodes(
        pixels, zxingcpp.BarcodeFormats(formats), text_mode=zxingcpp.TextMode.Plain
    )
    return list(dict.fromkeys(code.text for code in codes))


def _grey(image: Image.Image) -> Image.Image:
    """8 bits a pixel, on white where the picture is transparent."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    elif image.mode == "I;16":
        image = image.point(lambda value: value / 256)  # `convert` would cut off what is above 255
    return image.convert("L")


def _qr(text: str, kind: str) -> bytes:
    out = io.BytesIO()
    # "m": a seventh of it may be hidden.
    segno.make_qr(text, error="m").save(out, kind=kind, scale=_QR_SCALE)
    return out.getvalue()


def _code_128(code: str) -> zxingcpp.Barcode:
    return zxingcpp.create_barcode(code, zxingcpp.BarcodeFormat.Code128)
