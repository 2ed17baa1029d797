"""QR by segno and Code 128 by zint, read by zxing: as sent, and as a camera sees them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial

import pytest
from PIL import Image

from infrastructure.carriers import pictures
from infrastructure.carriers.failures import TooLarge
from infrastructure.carriers.pictures import (
    barcode_png,
    barcode_svg,
    qr_for_terminals,
    qr_png,
    qr_svg,
    read_qr,
    read_qr_or_barcode,
)
from infrastructure.carriers.shop_qr import ShopQr
from tests.fixtures import fix_carriers as seen

EMVCO = ShopQr(country="DE", city="Freiburg", mcc="5814").of_request(
    "t" * 43, account="a" * 64, currency="EUR", amount_minor=999_999_999_999, label="l" * 25
)
"""As much as a code of ours may hold."""
TEXTS = [seen.a_code(), EMVCO, "64200002ZH0104最佳运输0202北京", "1\x1d2\n3"]

WAYS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": bytes,
    **{f"scaled by {factor}": partial(seen.scaled, factor=factor) for factor in (0.5, 1.7, 3)},
    **{f"rotated by {turn}": partial(seen.rotated, degrees=turn) for turn in (10, -10, 90, 180)},
    **{f"JPEG of quality {much}": partial(seen.through_jpeg, quality=much) for much in (80, 25)},
    "all of it": lambda png: seen.through_jpeg(seen.rotated(seen.scaled(png, 0.8), 10), 50),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("text", TEXTS, ids=["code", "emv", "zh", "control"])
def test_a_qr_code_is_read_by_another_library(text: str, way: str) -> None:
    assert read_qr(WAYS[way](qr_png(text))) == [text]


@pytest.mark.parametrize("way", WAYS)
def test_a_barcode_is_read(way: str) -> None:
    code = seen.a_code()
    picture = WAYS[way](barcode_png(code))
    assert read_qr_or_barcode(picture) == [code]
    assert read_qr(picture) == []


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_a_png_may_have_any_kind_of_pixels(mode: str) -> None:
    image = seen.opened(qr_png(seen.a_code()))
    if mode == "I;16":
        wide = Image.new(mode, image.size)
        wide.putdata([0x2000 + 0xB0 * pixel for pixel in image.tobytes()])
    else:
        wide = image.convert(mode)
    assert read_qr(seen.as_png(wide)) == [seen.a_code()]


def test_what_is_transparent_is_white() -> None:
    dark = seen.opened(qr_png(seen.a_code())).point(lambda value: 255 - value)
    clear = Image.new("RGBA", dark.size, (0, 0, 0, 0))
    clear.putalpha(dark)
    assert read_qr(seen.as_png(clear)) == [seen.a_code()]


def test_svgs_are_drawings_in_black() -> None:
    for drawing in (qr_svg(EMVCO), barcode_svg(seen.a_code())):
        assert b"<svg" in drawing
        assert drawing.rstrip().endswith(b"</svg>")
        assert b"<script" not in drawing


def test_the_code_in_a_terminal_is_read_from_its_blocks() -> None:
    rows = qr_for_terminals(seen.a_code()).splitlines()
    dots = {" ": (0, 0), "▄": (0, 255), "▀": (255, 0), "█": (255, 255)}
    pixels = b"".join(bytes(dots[block][half] for block in row) for row in rows for half in (0, 1))
    image = Image.frombytes("L", (len(rows[0]), 2 * len(rows)), pixels)
    assert read_qr(seen.scaled(seen.as_png(image), 6)) == [seen.a_code()]


def test_all_codes_of_a_picture_are_told_and_the_same_twice_is_one() -> None:
    one, other = seen.a_code(1), seen.a_code(2)
    both = seen.side_by_side(qr_png(one), barcode_png(other))
    assert sorted(read_qr_or_barcode(both)) == [one, other]
    assert read_qr_or_barcode(seen.side_by_side(qr_png(one), barcode_png(one))) == [one]
    assert len(read_qr(seen.side_by_side(qr_png(one), qr_png(other)))) == 2


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x89PNG\r\n\x1a\n", id="a signature"),
        pytest.param(b"GIF89a" + bytes(100), id="no PNG"),
        pytest.param(seen.white(200, 200), id="white"),
        pytest.param(qr_png(EMVCO)[: len(qr_png(EMVCO)) // 2], id="half a file"),
        pytest.param(seen.as_png(seen.opened(qr_png(EMVCO)).crop((0, 0, 600, 250))), id="half"),
        pytest.param(qr_png(EMVCO)[:40] + b"\0" + qr_png(EMVCO)[41:], id="a wrong CRC"),
    ],
)
def test_where_nothing_is_readable_nothing_is_told(content: bytes) -> None:
    assert read_qr_or_barcode(content) == []


def test_a_picture_has_16_megapixels_at_most() -> None:
    assert read_qr(seen.white(4_000, 4_000)) == []
    with pytest.raises(TooLarge):
        read_qr(seen.white(4_000, 4_001))


def test_a_picture_that_claims_more_pixels_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(pictures.Image, "open")
    small = qr_png(seen.a_code())
    with pytest.raises(TooLarge):
        read_qr(small[:16] + struct.pack(">II", 100_000, 100_000) + small[24:])
