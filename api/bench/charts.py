"""Two kinds of chart as SVG, by hand: what would draw them for us is larger than all we depend on.

Both are text that a difference can be seen in, and look the same on light and on dark pages.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Final

_WIDTH: Final = 720
_COLOURS: Final = ("#1f6f8b", "#d1495b", "#6a994e", "#edae49", "#6b4e9b", "#444444")
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 44, 66
_PLOT_HEIGHT: Final = 260
_BAR: Final = 22
_LABEL_WIDTH: Final = 330

Points = Sequence[tuple[float, float]]


def lines(title: str, series: Mapping[str, Points], *, across: str, up: str) -> str:
    """Series by name over one axis; across it doubles from step to step."""
    named = {name: sorted(points) for name, points in series.items() if points}
    xs = sorted({x for points in named.values() for x, _ in points})
    top = _round_up(max(y for points in named.values() for _, y in points))
    first, last = math.log2(xs[0]), math.log2(xs[-1])
    wide = _WIDTH - _LEFT - _RIGHT

    def place(x: float, y: float) -> tuple[float, float]:
        share = (math.log2(x) - first) / (last - first) if last > first else 0.5
        return _LEFT + share * wide, _TOP + _PLOT_HEIGHT * (1 - y / top)

    def parts() -> Iterator[str]:
        for step in range(5):
            value = top * step / 4
            _, y = place(xs[0], value)
            yield _line(_LEFT, y, _WIDTH - _RIGHT, y)
            yield _text(_LEFT - 8, y + 4, _short(value), anchor="end")
        for x in xs:
            yield _text(place(x, 0)[0], _TOP + _PLOT_HEIGHT + 18, _short(x), anchor="middle")
        yield _text(_LEFT + wide / 2, _TOP + _PLOT_HEIGHT + 36, across, anchor="middle")
        yield _text(_LEFT, _TOP - 8, up)
        for colour, points in zip(_COLOURS, named.values(), strict=False):
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
            yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            for x, y in (place(*point) for point in points):
                yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
        yield from _legend(named, _TOP + _PLOT_HEIGHT + 56)

    return _svg(title, _TOP + _PLOT_HEIGHT + _BOTTOM, parts())


def bars(title: str, named: Mapping[str, float], *, mark: float, mark_name: str) -> str:
    """One bar a name, with its value, and a line that all are to be compared with."""
    top = max(mark, *named.values())
    wide = _WIDTH - _LABEL_WIDTH - 70
    bottom = _TOP + _BAR * len(named)

    def parts() -> Iterator[str]:
        for number, (name, value) in enumerate(named.items()):
            y, length = _TOP + _BAR * number, wide * value / top
            yield _text(_LABEL_WIDTH - 8, y + 15, name, anchor="end")
            yield (
                f'<rect x="{_LABEL_WIDTH}" y="{y + 3}" width="{length:.1f}" height="{_BAR - 6}"'
                f' fill="{_COLOURS[0]}"/>'
            )
            yield _text(_LABEL_WIDTH + length + 6, y + 15, f"{value:.2f}")
        x = _LABEL_WIDTH + wide * mark / top
        yield _line(x, _TOP - 4, x, bottom, colour=_COLOURS[1])
        yield _text(x, bottom + 16, mark_name, anchor="middle")

    return _svg(title, bottom + 28, parts())


def _legend(names: Iterable[str], y: float) -> Iterator[str]:
    x = float(_LEFT)
    for colour, name in zip(_COLOURS, names, strict=False):
        yield f'<rect x="{x:.0f}" y="{y - 9:.0f}" width="10" height="10" fill="{colour}"/>'
        yield _text(x + 15, y, name)
        x += 32 + 7 * len(name)


def _svg(title: str, height: float, parts: Iterable[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}"'
        f' width="{_WIDTH}" height="{height:.0f}" font-family="sans-serif" font-size="12"'
        ' fill="#222222" role="img">'
    )
    body = [
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{height:.0f}" fill="#ffffff"/>',
        _text(_LEFT if height > 300 else 12, 20, title, weight="bold"),
        *parts,
    ]
    return "\n".join([head, *body, "</svg>", ""])


def _text(x: float, y: float, what: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}">'
        f"{escape(what)}</text>"
    )


def _line(x: float, y: float, to_x: float, to_y: float, *, colour: str = "#dddddd") -> str:
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{to_x:.1f}" y2="{to_y:.1f}" stroke="{colour}"/>'


def _round_up(value: float) -> float:
    """To 1, 2, 4, 5 or 8 of its own order of magnitude, so that a quarter of it is short too."""
    order = 10.0 ** math.floor(math.log10(value))
    return next(order * step for step in (1, 2, 4, 5, 8, 10) if order * step >= value)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"
