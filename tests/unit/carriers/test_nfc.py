"""NDEF: the bytes as the NFC Forum's specification has them, written out here once more."""

from __future__ import annotations

import ndef
import pytest

from infrastructure.carriers.nfc import MAX_RECORDS, ndef_message, read_ndef
from tests.fixtures.fix_carriers import a_code

URI = 0x00
HTTPS_WWW = 0x02


def parsed(message: bytes) -> list[tuple[int, bytes, bytes]]:
    """Type name format, type and payload of each record: NDEF 1.0, section 3.2."""
    records = []
    at = 0
    while at < len(message):
        flags, type_length = message[at], message[at + 1]
        assert bool(flags & 0x80) == (at == 0), "message begin"
        assert not flags & 0x20, "no chunks"
        if flags & 0x10:  # short record
            length, at = message[at + 2], at + 3
        else:
            length, at = int.from_bytes(message[at + 2 : at + 6]), at + 6
        id_length = 0
        if flags & 0x08:
            id_length, at = message[at], at + 1
        kind = message[at : at + type_length]
        at += type_length + id_length
        records.append((flags & 0x07, kind, message[at : at + length]))
        at += length
        assert bool(flags & 0x40) == (at == len(message)), "message end"
    return records


def record(payload: bytes, *, kind: bytes = b"U", flags: int = 0xD1) -> bytes:
    return bytes((flags, len(kind), len(payload))) + kind + payload


def uri(code: str) -> bytes:
    return bytes((URI,)) + b"tally:pay?c=" + code.encode()


def test_a_message_is_one_uri_record() -> None:
    assert parsed(ndef_message(a_code())) == [(1, b"U", uri(a_code()))]


def test_a_message_written_by_hand_is_read() -> None:
    assert read_ndef(record(uri(a_code()))) == [a_code()]
    long = bytes((0xC1, 1)) + (37).to_bytes(4) + b"U" + uri(a_code())
    assert read_ndef(long) == [a_code()]


def test_other_records_are_left_alone() -> None:
    app = record(b"de.example.till", kind=b"android.com:pkg", flags=0x54)
    link = record(bytes((HTTPS_WWW,)) + b"example.org", flags=0x91)
    code = record(uri(a_code()), flags=0x11)
    assert read_ndef(link + code + app) == [a_code()]


def test_several_codes_are_told_and_the_same_twice_is_one() -> None:
    one, other = a_code(1), a_code(2)
    for codes in ([one, other], [one, one]):
        message = record(uri(codes[0]), flags=0x91) + record(uri(codes[1]), flags=0x51)
        assert read_ndef(message) == list(dict.fromkeys(codes))


@pytest.mark.parametrize("end", range(len(ndef_message(a_code()))))
def test_a_message_that_is_cut_has_nothing(end: int) -> None:
    assert read_ndef(ndef_message(a_code())[:end]) == []


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(record(b""), id="no payload"),
        pytest.param(record(b"\x00\xff\xfe"), id="no UTF-8"),
        pytest.param(record(b"\x00tally:pay?c=1\n"), id="a control character"),
        pytest.param(record(bytes((0x50,)) + b"x"), id="an unknown prefix"),
        pytest.param(record(bytes((HTTPS_WWW,)) + b"tally:pay?c=" + b"0" * 24), id="a link"),
        pytest.param(record(uri(a_code()), kind=b"T"), id="a text"),
        pytest.param(record(uri(a_code()), flags=0x91), id="no end"),
        pytest.param(record(uri(a_code()), flags=0x51), id="no beginning"),
        pytest.param(record(uri(a_code()), flags=0xF1), id="a chunk"),
        pytest.param(record(uri(a_code()), flags=0xD7), id="a reserved format"),
    ],
)
def test_what_is_no_message_of_ours_has_nothing(message: bytes) -> None:
    assert read_ndef(message) == []


def test_a_message_of_very_many_records_is_not_read_to_its_end() -> None:
    records = [ndef.Record() for _ in range(MAX_RECORDS)]
    code = ndef.UriRecord("tally:pay?c=" + a_code())
    assert read_ndef(b"".join(ndef.message_encoder([code, *records[1:]]))) == [a_code()]
    assert read_ndef(b"".join(ndef.message_encoder([code, *records]))) == []
