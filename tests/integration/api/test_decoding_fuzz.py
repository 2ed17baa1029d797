"""Fuzzed files and texts at the decode routes: the contract's errors or a code, never a 5xx."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from infrastructure.carriers.decoder import MAX_MEMORY
from infrastructure.carriers.nfc import ndef_message, read_ndef
from infrastructure.carriers.pictures import barcode_png, qr_png, read_qr, read_qr_or_barcode
from infrastructure.carriers.sound import read_wav, wav
from tests.fixtures.fix_api import Api
from tests.fixtures.fix_carriers import a_code, decoding_processes
from tests.fixtures.fix_emvco import PUBLISHED, fuzzed
from tests.fixtures.fix_fuzz import png_with_mistakes, wav_with_mistakes, with_mistakes

PNG = "image/png"
CODES = [a_code(number) for number in range(5)]
Mistakes = Callable[[bytes, random.Random], bytes]
Writer = Callable[[str], bytes]
Reader = Callable[[bytes], list[str]]
CARRIERS: dict[str, tuple[str, Writer, Reader, Mistakes]] = {
    "qr": (PNG, qr_png, read_qr, png_with_mistakes),
    "barcode": (PNG, barcode_png, read_qr_or_barcode, png_with_mistakes),
    "ndef": ("application/octet-stream", ndef_message, read_ndef, with_mistakes),
    "wav": ("audio/wav", wav, read_wav, wav_with_mistakes),
}


def peak_mib(process: int | str) -> float:
    """The most memory it has held: VmHWM."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


@pytest.mark.slow
@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_fuzzed_file_is_refused_or_has_a_code(
    shared_api: Api,
    carrier: str,
    scaled: Callable[..., int],
    figure: Callable[[str, object], None],
) -> None:
    media_type, written, read, spoilt = CARRIERS[carrier]
    files = [written(code) for code in CODES]
    headers = {"Content-Type": media_type}

    def send(seed: int) -> httpx2.Response:
        chance = random.Random(seed)
        content = spoilt(chance.choice(files), chance)
        return shared_api.post("/v1/pay-codes/decode", content=content, headers=headers, key=None)

    times = scaled(10_000)
    told: Counter[int] = Counter()
    before = peak_mib("self")
    with ThreadPoolExecutor(2) as senders:
        list(senders.map(send, range(20)))
        processes = decoding_processes()
        for seed, answer in enumerate(senders.map(send, range(times))):
            told[answer.status_code] += 1
            match answer.status_code:
                case 200:
                    code = answer.json()["code"]
                    assert code in CODES or read(written(code)) == [code], seed
                case 400 | 413:
                    assert answer.json()["code"] in ("invalid_request", "body_too_large"), seed
                case other:
                    pytest.fail(f"{other} to the file of seed {seed}")
    assert told[400] > times / 10
    peak = max(map(peak_mib, decoding_processes()))
    figure(f"{carrier}: files read, of {times:,} fuzzed", told[200])
    figure(
        f"{carrier}: processes that ended over a file, of 2", len(processes - decoding_processes())
    )
    figure(f"{carrier}: most memory of a process that decodes, MiB", peak)
    figure(f"{carrier}: what the API's process grew by, MiB", peak_mib("self") - before)
    assert peak < MAX_MEMORY / 2**20 / 2
    assert peak_mib("self") - before < 100


@pytest.mark.slow
def test_a_fuzzed_text_is_refused_or_told(
    shared_api: Api, scaled: Callable[..., int], figure: Callable[[str, object], None]
) -> None:
    chance = random.Random(5)
    texts: Iterator[str] = (
        fuzzed(chance.choice([*PUBLISHED]), chance) for _ in range(scaled(5_000))
    )
    told = Counter(
        shared_api.post("/v1/qr/decode", {"text": text}, key=None).status_code for text in texts
    )
    assert told.keys() == {200, 400}
    figure("EMVCo texts told by the API, of those fuzzed", f"{told[200]} of {told.total()}")
