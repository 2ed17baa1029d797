"""The two decode routes and an account's QR code: what they tell, and every way they refuse."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from infrastructure.carriers.nfc import ndef_message
from infrastructure.carriers.pictures import barcode_png, qr_png, read_qr
from infrastructure.carriers.sound import wav
from tests.fixtures import fix_carriers as seen
from tests.fixtures.fix_api import Api, an_api
from tests.fixtures.fix_carriers import a_code, recording, samples, silence
from tests.fixtures.fix_emvco import PIX_STATIC as PIX
from tests.fixtures.fix_postgres import Cluster

PNG = "image/png"
WAV = "audio/wav"
NDEF = "application/octet-stream"
MIB = 1024 * 1024
PUBLIC_URL = "https://pay.example/tills"
TOKEN = "h3bW0k2mQx8L6r9TzA1cVg"


@pytest.fixture(scope="module")
def paying_api(cluster: Cluster) -> Iterator[Api]:
    with cluster.store() as store, an_api(store, public_url=PUBLIC_URL, qr_mcc="5814") as made:
        yield made


def decode(api: Api, what: str, content: bytes, media_type: str) -> httpx2.Response:
    """Without a key: nothing changes."""
    return api.post(
        f"/v1/{what}/decode", content=content, headers={"Content-Type": media_type}, key=None
    )


def decode_text(api: Api, text: str) -> httpx2.Response:
    return api.post("/v1/qr/decode", {"text": text}, key=None)


def refused(answer: httpx2.Response) -> tuple[int, str]:
    problem = answer.json()
    errors = [error["code"] for error in problem.get("errors", ())]
    return answer.status_code, errors[0] if errors else problem["code"]


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (qr_png(a_code()), PNG),
        (barcode_png(a_code()), PNG),
        (seen.rotated(qr_png(a_code()), 10), "IMAGE/PNG; q=1"),
        (wav(a_code()), WAV),
        (ndef_message(a_code()), NDEF),
    ],
    ids=["qr", "barcode", "rotated", "wav", "ndef"],
)
def test_a_pay_code_is_read_from_every_carrier(
    paying_api: Api, content: bytes, media_type: str
) -> None:
    answer = decode(paying_api, "pay-codes", content, media_type)
    assert (answer.status_code, answer.json()) == (200, {"code": a_code()})


@pytest.mark.parametrize(
    ("content", "media_type", "code"),
    [
        pytest.param(b"", PNG, "not_readable", id="empty"),
        pytest.param(seen.white(300, 300), PNG, "not_readable", id="white"),
        pytest.param(qr_png(a_code())[:200], PNG, "not_readable", id="cut PNG"),
        pytest.param(wav(a_code()), PNG, "not_readable", id="sound as PNG"),
        pytest.param(qr_png(PIX), PNG, "wrong_format", id="a shop's QR"),
        pytest.param(qr_png("9" * 24), PNG, "wrong_format", id="a wrong check digit"),
        pytest.param(
            seen.side_by_side(qr_png(a_code(1)), barcode_png(a_code(2))),
            PNG,
            "several_codes",
            id="two codes",
        ),
        pytest.param(wav(a_code())[:99_999], WAV, "not_readable", id="cut WAV"),
        pytest.param(recording(silence(5)), WAV, "not_readable", id="silence"),
        pytest.param(recording(seen.music(5, random.Random(1))), WAV, "not_readable", id="music"),
        pytest.param(
            recording(samples(a_code(1)) + samples(a_code(2))), WAV, "several_codes", id="a duet"
        ),
        pytest.param(
            recording(seen.mixed((a_code(1), 0, 3), (a_code(2), 0, 0))),
            WAV,
            "several_codes",
            id="two as one",
        ),
        pytest.param(
            recording(seen.mixed((a_code(1), 0, 0), (a_code(2), 0.05, 6))),
            WAV,
            "several_codes",
            id="two at once",
        ),
        pytest.param(wav("hello"), WAV, "wrong_format", id="another sound"),
        pytest.param(ndef_message(a_code())[:-1], NDEF, "not_readable", id="cut NDEF"),
        pytest.param(ndef_message("1"), NDEF, "wrong_format", id="another NDEF"),
    ],
)
def test_what_is_no_pay_code_is_refused(
    paying_api: Api, content: bytes, media_type: str, code: str
) -> None:
    assert refused(decode(paying_api, "pay-codes", content, media_type)) == (400, code)


@pytest.mark.parametrize("media_type", ["", "image/jpeg", "application/json", "text/plain"])
def test_another_type_is_refused(paying_api: Api, media_type: str) -> None:
    answer = decode(paying_api, "pay-codes", qr_png(a_code()), media_type)
    assert refused(answer) == (415, "unsupported_media_type")
    if media_type != "application/json":
        answer = decode(paying_api, "qr", qr_png(a_code()), media_type)
        assert refused(answer) == (415, "unsupported_media_type")


@pytest.mark.parametrize("what", ["qr", "pay-codes"])
def test_a_body_has_4_mib_and_16_megapixels_at_most(paying_api: Api, what: str) -> None:
    png = qr_png(a_code())
    assert decode(paying_api, what, png.ljust(4 * MIB), PNG).status_code == 200
    too_large = (413, "body_too_large")
    assert refused(decode(paying_api, what, png.ljust(4 * MIB + 1), PNG)) == too_large
    assert refused(decode(paying_api, what, seen.white(4_001, 4_000), PNG)) == too_large


def test_a_recording_has_10_seconds_at_most(paying_api: Api) -> None:
    code = samples(a_code())
    whole = code + silence(10)[len(code) :]
    assert decode(paying_api, "pay-codes", recording(whole), WAV).status_code == 200
    answer = decode(paying_api, "pay-codes", recording(whole + silence(0.1)), WAV)
    assert refused(answer) == (413, "body_too_large")


def test_a_shops_code_is_told_field_by_field(paying_api: Api) -> None:
    wanted = {
        "kind": "emvco",
        "fields": {
            "00": "01",
            "26": {"00": "br.gov.bcb.pix", "01": "123e4567-e12b-12d1-a456-426655440000"},
            "52": "0000",
            "53": "986",
            "58": "BR",
            "59": "Fulano de Tal",
            "60": "BRASILIA",
            "62": {"05": "***"},
            "63": "1D3D",
        },
        "currency": "BRL",
        "amount": None,
    }
    for answer in (decode_text(paying_api, PIX), decode(paying_api, "qr", qr_png(PIX), PNG)):
        assert (answer.status_code, answer.json()) == (200, wanted)


def test_a_link_of_ours_and_a_pay_code_are_told(paying_api: Api) -> None:
    link = f"{PUBLIC_URL}/p/{TOKEN}"
    for text, wanted in (
        (link, {"kind": "url", "token": TOKEN}),
        (a_code(), {"kind": "pay_code"}),
    ):
        for answer in (
            decode_text(paying_api, text),
            decode(paying_api, "qr", qr_png(text), PNG),
        ):
            assert (answer.status_code, answer.json()) == (200, wanted)


def test_without_a_public_url_links_are_the_apis_own(shared_api: Api) -> None:
    told = decode_text(shared_api, f"{shared_api.url}/p/{TOKEN}").json()
    assert told == {"kind": "url", "token": TOKEN}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (PIX[:-1] + "E", "wrong_format"),
        (PIX.replace("5913", "5912"), "wrong_format"),
        (PIX[:40], "wrong_format"),
        ("9" * 24, "wrong_check_digit"),
        (a_code()[:-1], "wrong_format"),
        (f"https://pay.example/p/{TOKEN}", "wrong_format"),
        (f"https://pay.example.evil/tills/p/{TOKEN}", "wrong_format"),
        (f"{PUBLIC_URL}/p/{TOKEN}?next=x", "wrong_format"),
        (f"{PUBLIC_URL}/p/", "wrong_format"),
        ("", "wrong_format"),
        ("x" * 100_000, "wrong_format"),
        ("\0", "wrong_format"),
        ("\ud800", "wrong_format"),
    ],
)
def test_a_text_that_is_none_of_these_is_refused(paying_api: Api, text: str, code: str) -> None:
    answer = paying_api.post("/v1/qr/decode", content=json.dumps({"text": text}).encode(), key=None)
    assert refused(answer) == (400, code)
    assert answer.json()["errors"][0]["pointer"] == "/text"
    assert not text or text not in answer.json()["errors"][0]["detail"]


@pytest.mark.parametrize("body", [{}, {"text": None}, {"text": 5}, {"text": PIX, "as": "x"}, []])
def test_a_text_comes_alone_in_its_object(paying_api: Api, body: Any) -> None:
    assert paying_api.post("/v1/qr/decode", body, key=None).status_code == 400


def test_a_picture_of_two_qr_codes_is_refused(paying_api: Api) -> None:
    both = seen.side_by_side(qr_png(PIX), qr_png(a_code()))
    assert refused(decode(paying_api, "qr", both, PNG)) == (400, "several_codes")
    beside_a_barcode = seen.side_by_side(qr_png(PIX), barcode_png(a_code()))
    assert decode(paying_api, "qr", beside_a_barcode, PNG).status_code == 200


def test_nothing_is_recorded(paying_api: Api) -> None:
    before = paying_api.get("/v1/status").json()["end"]
    decode(paying_api, "pay-codes", qr_png(a_code()), PNG)
    decode_text(paying_api, "9" * 24)
    assert paying_api.get("/v1/status").json()["end"] == before
    answer = paying_api.post("/v1/qr/decode", {"text": PIX}, dry_run="true")
    assert answer.status_code == 400


def test_an_account_has_a_qr_code_in_three_forms(paying_api: Api) -> None:
    position = paying_api.open("shops:bob", currency="JPY")
    path = "/v1/accounts/shops:bob/qr"
    text = paying_api.get(path, **{"as": "text", "min_position": position})
    assert text.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert int(text.headers["Ledger-Position"]) >= position
    told = decode_text(paying_api, text.text).json()
    assert (told["kind"], told["currency"], told["amount"]) == ("emvco", "JPY", None)
    assert told["fields"]["01"] == "11"
    assert told["fields"]["26"] == {"00": "internal.tallystick", "01": "shops:bob"}
    assert (told["fields"]["52"], told["fields"]["59"]) == ("5814", "shops:bob")
    png = paying_api.get(path, **{"as": "png"})
    assert png.headers["Content-Type"] == PNG
    assert read_qr(png.content) == [text.text]
    for svg in (paying_api.get(path), paying_api.get(path, **{"as": "svg"})):
        assert svg.headers["Content-Type"].startswith("image/svg+xml")
        assert svg.text.startswith("<?xml")


def test_the_qr_code_of_nobody_is_not_found(paying_api: Api) -> None:
    assert paying_api.get("/v1/accounts/nobody/qr").status_code == 404
    answer = paying_api.get("/v1/accounts/nobody/qr", **{"as": "gif"})
    assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (400, "as")


def test_without_its_library_sound_is_unavailable(
    new_api: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "ggwave.py").write_text("raise ImportError")
    monkeypatch.setattr("infrastructure.carriers.decoders._ROOT", f"{tmp_path}:{Path.cwd()}")
    api = new_api()
    assert refused(decode(api, "pay-codes", wav(a_code()), WAV)) == (501, "carrier_unavailable")
    assert decode(api, "pay-codes", qr_png(a_code()), PNG).status_code == 200


def test_while_too_many_wait_more_are_refused(
    new_api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infrastructure.carriers.decoders.MAX_WAITING", 1)
    api = new_api()
    answers: list[httpx2.Response] = []
    senders = [
        threading.Thread(
            target=lambda: answers.append(decode(api, "pay-codes", qr_png(a_code()), PNG))
        )
        for _ in range(20)
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert {answer.status_code for answer in answers} == {200, 503}
    overloaded = next(answer for answer in answers if answer.status_code == 503)
    assert overloaded.json()["code"] == "overloaded"
    assert overloaded.headers["Retry-After"]
    assert decode(api, "pay-codes", qr_png(a_code()), PNG).status_code == 200
