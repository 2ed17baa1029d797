"""QR codes and barcodes: written as PNG and SVG, and read from PNG."""

import io
from typing import Final

import segno
import zxingcpp
from PIL import Image

_QR_SCALE: Final = 8
_BARCODE_SCALE: Final = 4
"""Pixels of the smallest square, and of the thinnest bar."""


def qr_png(text: str) -> bytes:
    return _qr(text, "png")


def qr_svg(text: str) -> bytes:
    return _qr(text, "svg")


def qr_for_terminals(text: str) -> str:
    """Of blocks and escape sequences, dark on light whatever the terminal's colours are."""
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


def _qr(text: str, kind: str) -> bytes:
    out = io.BytesIO()
    # "m": a seventh of it may be hidden.
    segno.make_qr(text, error="m").save(out, kind=kind, scale=_QR_SCALE)
    return out.getvalue()


def _code_128(code: str) -> zxingcpp.Barcode:
    return zxingcpp.create_barcode(code, zxingcpp.BarcodeFormat.Code128)
