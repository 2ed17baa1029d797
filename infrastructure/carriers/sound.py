"""Sound, by ggwave: tones that a phone plays and a till hears. It is an extra: `[sonic]`."""

import io
import wave
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final

from infrastructure.carriers.failures import CarrierUnavailable, TooLarge
from infrastructure.carriers.tones import FRAME, MARKER, may_be_several, taken_down

try:
    import ggwave
except ImportError:
    ggwave = None

PROTOCOL: Final = 1
"""ggwave's "audible, fast": 24 digits in 2.2 seconds."""
MAX_PAYLOAD: Final = 140
"""Bytes; what is longer ggwave would cut without a word."""

MAX_LENGTH_S: Final = 10
RATES_HZ: Final = range(16_000, 96_001)
"""Of recordings: the highest tone has 6.4 kHz."""

_RATE_HZ: Final = 48_000
_PIECE: Final = 16 * 1024
"""Samples that are decoded at a time. A call wants whole frames of 1024 and gives one text at
most: in so short a time no second one ends."""
_SIGNED_16: Final = 4
"""GGWAVE_SAMPLE_FORMAT_I16"""
_VOLUME: Final = 25
"""Percent of the loudest."""

_one_at_a_time: Final = Lock()
"""The library has few instances, in a table that isn't guarded."""

if ggwave:
    ggwave.disableLog()


def wav(text: str) -> bytes:
    """The text as tones: WAV, 16 bit, mono, 48 kHz. Raises CarrierUnavailable.

    Raises ValueError beyond 140 bytes.
    """
    if len(text.encode()) > MAX_PAYLOAD:
        raise ValueError(f"more than {MAX_PAYLOAD} bytes")
    samples = _played(text)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE_HZ)
        file.writeframes(samples.tobytes())
    return out.getvalue()


def _played(text: str) -> "array[int]":
    with _instance() as instance:
        encoded = ggwave.encode(text, protocolId=PROTOCOL, volume=_VOLUME, instance=instance)
    return array("h", encoded)


def read_wav(content: bytes) -> list[str]:
    """The texts heard in a recording, none twice: WAV of 16 bits, of several channels the first.

    Raises TooLarge, CarrierUnavailable.
    """
    try:
        with wave.open(io.BytesIO(content)) as file:
            channels, width, rate_hz, length, *_ = file.getparams()
            if length > MAX_LENGTH_S * rate_hz:
                raise TooLarge(f"Send at most {MAX_LENGTH_S} seconds of sound.")
            frames = file.readframes(length)
    except (wave.Error, EOFError, RuntimeError):  # as `wave` says that a file is broken
        return []
    # A file that ends before it says so is none.
    if width != 2 or rate_hz not in RATES_HZ or len(frames) != length * channels * width:
        return []
    samples = _at_48_khz(array("h", frames)[::channels], rate_hz)
    heard = _heard(samples)
    if len(heard) == 1 and may_be_several(samples):
        heard += _drowned(samples, by=heard[0])
    return list(dict.fromkeys(heard))


def _heard(samples: "array[int]") -> list[str]:
    """None twice."""
    with _instance() as instance:
        heard = [
            ggwave.decode(instance, samples[at : at + _PIECE].tobytes())
            for at in range(0, len(samples), _PIECE)
        ]
    return list(dict.fromkeys(text.decode("utf-8", "replace") for text in heard if text))


def _drowned(samples: "array[int]", *, by: str) -> list[str]:
    """What else sounds at the same time: ggwave tells the louder of two as if it were alone."""
    rest, began = taken_down(samples, _played(by))
    # It may have begun together with the other, or after it: the marker that ggwave hears first
    # is where it looks, up to its length later.
    starts = (0, began + MARKER // 2, began + MARKER + 1)
    return [text for start in starts for text in _heard(rest[max(0, start) * FRAME :])]


def _at_48_khz(samples: "array[int]", rate_hz: int) -> "array[int]":
    """Between two samples on the straight line: the tones are far below half of either rate."""
    if rate_hz == _RATE_HZ:
        return samples
    places = (
        divmod(i * rate_hz, _RATE_HZ) for i in range((len(samples) - 1) * _RATE_HZ // rate_hz)
    )
    return array(
        "h",
        (
            (samples[at] * (_RATE_HZ - part) + samples[at + 1] * part) // _RATE_HZ
            for at, part in places
        ),
    )


@contextmanager
def _instance() -> Iterator[int]:
    """ggwave for 16-bit samples."""
    if ggwave is None:
        raise CarrierUnavailable
    parameters: dict[str, Any] = ggwave.getDefaultParameters() | {
        "sampleFormatInp": _SIGNED_16,
        "sampleFormatOut": _SIGNED_16,
    }
    with _one_at_a_time:
        instance = ggwave.init(parameters)
        try:
            yield instance
        finally:
            ggwave.free(instance)
