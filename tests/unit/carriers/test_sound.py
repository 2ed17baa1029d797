"""Sound: heard through noise, at any usual rate, and not where there is none."""

from __future__ import annotations

import io
import random
import wave
from array import array
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from infrastructure.carriers import sound
from infrastructure.carriers.failures import CarrierUnavailable, TooLarge
from infrastructure.carriers.sound import MAX_PAYLOAD, read_wav, wav
from tests.fixtures import fix_carriers as heard
from tests.fixtures.fix_carriers import RATE_HZ, a_code, recording, samples, silence


def test_a_code_takes_about_two_seconds() -> None:
    with wave.open(io.BytesIO(wav(a_code()))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE_HZ)
        assert 2 <= file.getnframes() / RATE_HZ < 2.5
    assert read_wav(wav(a_code())) == [a_code()]


@pytest.mark.parametrize("snr_db", [10, 0])
def test_a_code_is_heard_through_white_noise(
    snr_db: int, scaled: Callable[..., int], figure: Callable[[str, object], None]
) -> None:
    chance = random.Random(snr_db)
    times = scaled(100)
    right = 0
    for _ in range(times):
        code = a_code(chance.randrange(10**19))
        told = read_wav(recording(heard.with_noise(samples(code), snr_db=snr_db, chance=chance)))
        assert told in ([code], []), "another code than was played"
        right += told == [code]
    figure(f"sound decoded at {snr_db} dB, of {times}", right)
    assert right == times


def test_how_much_noise_it_bears(
    scaled: Callable[..., int], figure: Callable[[str, object], None]
) -> None:
    chance = random.Random(1)
    for snr_db in (-6, -9, -12, -15):
        times = scaled(50)
        told = []
        for _ in range(times):
            noisy = heard.with_noise(samples(a_code()), snr_db=snr_db, chance=chance)
            told.append(read_wav(recording(noisy)))
        assert all(one in ([a_code()], []) for one in told)
        figure(f"sound decoded at {snr_db} dB, of {times}", told.count([a_code()]))


@pytest.mark.parametrize("rate_hz", [16_000, 22_050, 32_000, 44_100, 96_000])
def test_a_recording_may_have_another_rate(rate_hz: int) -> None:
    played = [*silence(0.3), *samples(a_code()), *silence(0.3)]
    taken = array("h", (played[at * RATE_HZ // rate_hz] for at in range(rate_hz * 27 // 10)))
    assert read_wav(recording(taken, rate_hz=rate_hz)) == [a_code()]


def test_of_two_channels_the_first_one_counts() -> None:
    both = array("h")
    for sample in samples(a_code()):
        both.extend((sample, 0))
    assert read_wav(recording(both, channels=2)) == [a_code()]


def test_two_codes_are_told_and_the_same_twice_is_one() -> None:
    one, other = a_code(1), a_code(2)
    for pause in (0, 0.2):
        for codes in ([one, other], [one, one]):
            played = samples(codes[0]) + silence(pause) + samples(codes[1])
            assert read_wav(recording(played)) == list(dict.fromkeys(codes))


@pytest.mark.parametrize("later_s", [0, 0.01, 0.05, 0.15])
@pytest.mark.parametrize("louder_db", [1, 6])
def test_of_two_at_once_the_one_that_is_drowned_is_told_too(later_s: float, louder_db: int) -> None:
    chance = random.Random(f"{later_s} {louder_db}")
    one, other = (a_code(chance.randrange(10**19)) for _ in range(2))
    together = heard.mixed((one, 0, louder_db), (other, later_s, 0))
    assert read_wav(recording(together)) == [one, other]


def test_of_two_that_are_alike_in_time_and_loudness_none_is_told_alone() -> None:
    chance = random.Random(3)
    for _ in range(10):
        codes = [a_code(chance.randrange(10**19)) for _ in range(2)]
        together = heard.mixed(*((code, 0, 0) for code in codes))
        assert sorted(read_wav(recording(together))) in ([], sorted(codes))


@pytest.mark.slow
def test_two_at_once_are_hardly_ever_taken_for_one(
    scaled: Callable[..., int], figure: Callable[[str, object], None]
) -> None:
    chance = random.Random(4)
    times = scaled(400)
    told: Counter[int] = Counter()
    for _ in range(times):
        codes = [a_code(chance.randrange(10**19)) for _ in range(2)]
        playing = [(code, chance.uniform(0, 0.15), chance.uniform(0, 12)) for code in codes]
        found = read_wav(recording(heard.mixed(*playing)))
        assert set(found) <= set(codes)
        told[len(found)] += 1
    figure(f"of two sounds at once both told, of {times}", told[2])
    figure(f"of two sounds at once one told alone, of {times}", told[1])
    assert told[1] <= times / 20


def test_long_after_another_a_code_is_no_third_one() -> None:
    chance = random.Random(3)
    for later_s in (0.3, 0.5, 1, 1.5):
        codes = [a_code(chance.randrange(10**19)) for _ in range(2)]
        together = heard.mixed((codes[0], 0, 0), (codes[1], later_s, 0))
        assert set(read_wav(recording(together))) <= set(codes)


@pytest.mark.parametrize("later_s", [0.01, 0.06, 0.2])
def test_an_echo_and_music_are_no_second_code(later_s: float) -> None:
    code = a_code()
    echo = heard.mixed((code, 0, 4), (code, later_s, 0))
    assert read_wav(recording(echo)) == [code]
    tune = heard.music(2.9, random.Random(later_s))
    played = silence(0.3) + samples(code) + silence(0.4)
    both = heard.clipped(a + b for a, b in zip(tune, played, strict=False))
    assert read_wav(recording(both)) in ([code], [])


def pcm(width: int, rate_hz: int = RATE_HZ) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(rate_hz)
        file.writeframes(bytes(width * rate_hz))
    return out.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"RIFF", id="a beginning"),
        pytest.param(b"OggS" + bytes(200), id="no WAV"),
        pytest.param(wav(a_code())[:44], id="no sound"),
        pytest.param(wav(a_code())[:-2], id="cut by a sample"),
        pytest.param(wav(a_code())[: 44 + RATE_HZ], id="cut in the middle"),
        pytest.param(recording(samples(a_code())[:RATE_HZ]), id="half the tones"),
        pytest.param(recording(silence(0)), id="of no length"),
        pytest.param(recording(silence(9)), id="silence"),
        pytest.param(recording(heard.music(9, random.Random(2))), id="music"),
        pytest.param(pcm(1), id="8 bits"),
        pytest.param(pcm(3), id="24 bits"),
        pytest.param(pcm(2, 8_000), id="the rate of a telephone"),
        pytest.param(pcm(2, 192_000), id="the rate of a studio"),
    ],
)
def test_where_nothing_is_heard_nothing_is_told(content: bytes) -> None:
    assert read_wav(content) == []


def test_a_recording_has_ten_seconds_at_most() -> None:
    code = samples(a_code())
    rest = silence(10)[len(code) :]
    assert read_wav(recording(code + rest)) == [a_code()]
    with pytest.raises(TooLarge):
        read_wav(recording(code + rest + silence(1 / RATE_HZ)))


def test_a_payload_that_would_be_cut_is_refused() -> None:
    assert read_wav(wav("x" * MAX_PAYLOAD)) == ["x" * MAX_PAYLOAD]
    for text in ("x" * (MAX_PAYLOAD + 1), "é" * 71):
        with pytest.raises(ValueError, match="more than 140 bytes"):
            wav(text)


def test_without_its_library_sound_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = wav(a_code())
    monkeypatch.setattr(sound, "ggwave", None)
    calls: list[Callable[[], Any]] = [lambda: wav(a_code()), lambda: read_wav(recorded)]
    for call in calls:
        with pytest.raises(CarrierUnavailable):
            call()
