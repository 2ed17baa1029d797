"""From bytes to values: what a request means, and how answers are written."""

from __future__ import annotations

import pytest

from api import strict_json
from api.answers import encoded
from api.cursors import CursorCodec
from api.problems import Problem, body_error
from api.reading import preferred_wait_s
from api.request_ids import request_id
from api.requests import fingerprint


def test_a_stored_fingerprint_is_made_alike_for_ever() -> None:
    made = fingerprint("POST", "/v1/payments", {"b": 1, "a": [None, "é", {"d": True, "c": ""}]})
    assert made.hex() == "5fd15ff931bbb48d932eb6a1e210462c31f0f6607e26b213abbbcb030154f328"


@pytest.mark.parametrize(
    "other",
    [
        ("PATCH", "/v1/accounts", {"a": 1}),
        ("POST", "/v1/payments", {"a": 1}),
        ("POST", "/v1/accounts", {"a": "1"}),
        ("POST", "/v1/accounts", {"a": True}),
        ("POST", "/v1/accounts", {"a": 1, "b": None}),
        ("POST", "/v1/accounts", {}),
    ],
)
def test_another_request_has_another_fingerprint(other: tuple[str, str, dict[str, object]]) -> None:
    assert fingerprint(*other) != fingerprint("POST", "/v1/accounts", {"a": 1})


def test_sums_beyond_64_bits_are_written_as_they_are() -> None:
    assert encoded({"total": -(2**80)}) == b'{"total":-1208925819614629174706176}'


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ([], 1),
        (["wait=7"], 7),
        (["WAIT = 7"], 7),
        (["respond-async, wait=0"], 0),
        (["wait=31"], 30),
        (["wait=999999999"], 30),
        (['wait="5"; strict'], 5),
        (["wait=2", "wait=9"], 2),
        (["wait"], 1),
        (["wait=-1"], 1),
        (["wait=1.5"], 1),
        (["waiting=9"], 1),
        (["wait=٣"], 1),
    ],
)
def test_what_prefer_asks_for(prefer: list[str], seconds: float) -> None:
    assert preferred_wait_s(prefer) == seconds


def test_a_pointer_escapes_what_rfc_6901_says_and_is_bounded() -> None:
    assert body_error(("a/b~c", 0), "x", "y")["pointer"] == "/a~1b~0c/0"
    assert len(body_error(("x" * 10_000,), "x", "y")["pointer"]) == 101


def test_request_ids_made_here_are_unique_and_safe() -> None:
    made = {request_id(None) for _ in range(1000)}
    assert len(made) == 1000
    assert all(request_id(each) == each for each in made)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (b'{"a":1,"a":1}', ("a",)),
        (b'[[],{"b":{"a":1,"a":2}}]', (1, "b", "a")),
        (b'{"a":{"b":[0,{"c":1,"c":2}]},"a":3}', ("a", "b", 1, "c")),
    ],
)
def test_a_member_twice_is_found_at_any_depth(text: bytes, path: strict_json.Path) -> None:
    with pytest.raises(strict_json.DuplicateMember) as raised:
        strict_json.parse(text)
    assert raised.value.path == path


def test_a_cursor_is_read_by_its_own_list_alone() -> None:
    codec = CursorCodec("/v1/accounts", {"prefix": "a", "status": None}, (str,))
    assert codec.read(codec.write(["a1"], 7)) == (["a1"], 7)
    assert codec.write(None, 7) is None
    others = (
        CursorCodec("/v1/accounts", {"prefix": "b"}, (str,)),
        CursorCodec("/v1/balances", {"prefix": "a"}, (str,)),
        CursorCodec("/v1/accounts", {"prefix": "a"}, (int,)),
        CursorCodec("/v1/accounts", {"prefix": "a"}, (str, int)),
    )
    for other in others:
        with pytest.raises(Problem) as raised:
            other.read(codec.write(["a1"], 7))
        assert raised.value.code == "cursor_invalid"
