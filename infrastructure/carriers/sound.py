"""Sound, by ggwave: tones that a phone plays and a till hears. It is an extra: `[sonic]`."""

import io
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any, Final

try:
    import ggwave
except ImportError:
    ggwave = None

PROTOCOL: Final = 1
"""ggwave's "audible, fast": 24 digits in 2.2 seconds."""
MAX_PAYLOAD: Final = 140
"""Bytes; what is longer ggwave would cut without a word."""

_RATE_HZ: Final = 48_000
_SIGNED_16: Final = 4
"""GGWAVE_SAMPLE_FORMAT_I16"""
_VOLUME: Final = 25
"""Percent of the loudest."""

_one_at_a_time: Final = Lock()
"""The library has few instances, in a table that isn't guarded."""

if ggwave:
    ggwave.disableLog()


class SoundUnavailable(Exception):
    """The extra isn't installed."""


def wav(text: str) -> bytes:
    """The text as tones: WAV, 16 bit, mono, 48 kHz. Raises SoundUnavailable.

    Raises ValueError beyond 140 bytes.
    """
    if len(text.encode()) > MAX_PAYLOAD:
        raise ValueError(f"more than {MAX_PAYLOAD} bytes")
    with _instance(_RATE_HZ) as instance:
        samples = ggwave.encode(text, protocolId=PROTOCOL, volume=_VOLUME, instance=instance)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE_HZ)
        file.writeframes(samples)
    return out.getvalue()


@contextmanager
def _instance(rate_hz: int) -> Iterator[int]:
    """ggwave for 16-bit samples at that rate."""
    if ggwave is None:
        raise SoundUnavailable
    parameters: dict[str, Any] = ggwave.getDefaultParameters() | {
        "sampleRateInp": rate_hz,
        "sampleRateOut": rate_hz,
        "sampleFormatInp": _SIGNED_16,
        "sampleFormatOut": _SIGNED_16,
    }
    with _one_at_a_time:
        instance = ggwave.init(parameters)
        try:
            yield instance
        finally:
            ggwave.free(instance)
