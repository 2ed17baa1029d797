"""The tones of a sound that is known, taken down in a recording: what they drowned is heard then.

ggwave's tones are whole multiples of 48,000/1024 Hz: the spectrum of 1024 samples has each of them
in a number of its own, wherever they begin.
"""

from array import array
from cmath import exp, pi
from collections.abc import Sequence
from functools import cache
from math import cos, sin
from operator import add, mul, sub
from statistics import median
from typing import Final

FRAME: Final = 1024
"""Samples; ggwave changes its tones at their multiples only."""
MARKER: Final = 16
"""Frames before the text, and after it: the same for every text."""

_TONES: Final = range(40, 136)
"""Six bands of 16: one tone a band is half a byte."""
_LEFT: Final = 0.1
"""20 dB down. None of a tone would be too little: a sixteenth of the other's are the same."""
_POINTS: Final = FRAME // 2
"""Of a spectrum: every other sample will do for tones up to 6.4 kHz."""
_TURNS: Final = [exp(-2j * pi * at / _POINTS) for at in range(_POINTS)]
_BANDS: Final = 6
_EVERY: Final = 8
"""Frames, of which one is looked at to see whether there is more than one sound."""


def may_be_several(recording: "array[int]") -> bool:
    """Whether most of it has more tones at a time, down to a tenth of the loudest, than one sound.

    Of 48 kHz, 16 bits. So it is where two play at once, and in noise and music as well.
    """
    frames = [
        [
            abs(tone)
            for tone in _spectrum(recording[at : at + FRAME : 2])[_TONES.start : _TONES.stop]
        ]
        for at in range(0, len(recording) - FRAME + 1, _EVERY * FRAME)
    ]
    faint = max(map(max, frames), default=0) * _LEFT
    counts = (sum(tone > faint for tone in frame) for frame in frames)
    return median([count for count in counts if count] or [0]) > _BANDS


def taken_down(recording: "array[int]", sound: "array[int]") -> "tuple[array[int], int]":
    """A recording with the tones of that sound at a tenth; and at which frame the sound begins.

    Both of 48 kHz, 16 bits. The marker before the text stays: what plays at the same time needs it.
    """
    played = [
        {tone for tone in _TONES if abs(frame[tone]) > max(map(abs, frame)) / 4}
        for frame in _spectra(sound)
    ]
    frames = _spectra(recording)
    loudness = [[abs(tone) for tone in frame] for frame in frames]

    def fits(began: int) -> float:
        return sum(
            loudness[began + at][tone]
            for at in range(max(0, -began), min(len(played), len(frames) - began))
            for tone in played[at]
        )

    began = max(range(-MARKER, len(frames)), key=fits)
    rest = recording[:]
    for at in range(max(MARKER, -began), min(len(played), len(frames) - began)):
        # Its frames are not the recording's: one of ours has parts of two, or of three.
        tones = set[int]().union(*played[at - 1 : at + 2])
        start = (began + at) * FRAME
        left = list(map(float, rest[start : start + FRAME]))
        for tone in tones:
            found = frames[began + at][tone] * (1 - _LEFT) * 2 / _POINTS
            cosine, sine = _waves(tone)
            left = [
                sample - found.real * c + found.imag * s
                for sample, c, s in zip(left, cosine, sine, strict=True)
            ]
        rest[start : start + FRAME] = array(
            "h", (max(-32_768, min(32_767, round(sample))) for sample in left)
        )
    return rest, began


@cache
def _waves(tone: int) -> tuple[list[float], list[float]]:
    steps = [2 * pi * (tone * at % FRAME) / FRAME for at in range(FRAME)]
    return list(map(cos, steps)), list(map(sin, steps))


def _spectra(samples: "array[int]") -> list[list[complex]]:
    """Of each whole frame, as far up as tones go."""
    return [
        _spectrum(samples[start : start + FRAME : 2])[: _TONES.stop]
        for start in range(0, len(samples) - FRAME + 1, FRAME)
    ]


def _spectrum(samples: Sequence[complex]) -> list[complex]:
    """The fast Fourier transform of a power of two: first of the even samples, then of the odd."""
    if len(samples) == 2:
        return [samples[0] + samples[1], samples[0] - samples[1]]
    even, odd = _spectrum(samples[::2]), _spectrum(samples[1::2])
    turned = list(map(mul, odd, _TURNS[:: _POINTS // len(samples)]))
    return [*map(add, even, turned), *map(sub, even, turned)]
