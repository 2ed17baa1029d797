"""The parser on bytes takes what the models take, as they do; what it leaves says nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.codes import asked_payment
from api.payment_parser import plain_payment
from api.problems import Problem
from api.requests import parsed

POSTING = {"debit": "a:1", "credit": "b", "amount": 7, "currency": "EUR"}
BY_CODE = {"credit": "b", "amount": 7, "currency": "EUR"}


def by_the_models(content: bytes) -> Any:
    members = parsed(content)
    members.pop("idempotency_key", None)
    return asked_payment(members)


def body(**members: Any) -> bytes:
    return json.dumps({"postings": [POSTING], **members}).encode()


@pytest.mark.parametrize(
    "content",
    [
        body(),
        body(postings=[POSTING, {**POSTING, "currency": "JPY"}]),
        body(reference="order 7", carrier="nfc", metadata={"b": "2", "a": "", "c d": "~"}),
        body(mode="hold", hold_timeout_s=60),
        body(mode="settle"),
        body(postings=[BY_CODE], pay_code="4000123"),
        body(postings=[BY_CODE], pay_code="", mode="settle", carrier="qr"),
        json.dumps({"metadata": {}, "postings": [POSTING]}, indent=2).encode(),
        json.dumps({"postings": [POSTING], "reference": "a/b <c> & d'e"}).encode(),
    ],
)
def test_plain_payments_are_taken_as_the_models_take_them(content: bytes) -> None:
    plain = plain_payment(content)
    assert plain is not None
    assert plain.asked == by_the_models(content)
    assert plain.key is None


def test_the_key_of_a_line_is_no_part_of_its_meaning() -> None:
    line = plain_payment(body(idempotency_key="k-1"))
    assert line is not None
    assert line.key == "k-1"
    assert line._replace(key=None) == plain_payment(body())


TWICE = b'{"postings":[{"debit":"a","credit":"b","amount":1,"amount":1,"currency":"EUR"}]}'


@pytest.mark.parametrize(
    "content",
    [
        TWICE,
        TWICE.replace(b'"amount":1,"amount"', b'"currency":"EUR","amount"'),
        body(metadata={"a": "1"}).replace(b'"a": "1"', b'"a": "1", "a": "1"'),
        body().replace(b"7", b"7.0"),
        body().replace(b"7", b"7e0"),
        body().replace(b"7", b"true"),
        body().replace(b"7", b'"7"'),
        body().replace(b"7", b"0"),
        body().replace(b"7", b"9007199254740992"),
        body().replace(b"EUR", b"XAU"),
        body().replace(b"a:1", b"-a"),
        body().replace(b"a:1", b"a\n"),
        body(hold_timeout_s=60),
        body(mode="settle", hold_timeout_s=60),
        body(postings=[]),
        body(postings=[BY_CODE]),
        body(pay_code="4000123"),
        body(postings=[BY_CODE, BY_CODE], pay_code="4000123"),
        body(postings=[BY_CODE], pay_code="4000123", mode="hold"),
        body(postings=[BY_CODE], pay_code=None),
        body(postings=[BY_CODE], pay_code="1").replace(b'"pay_code"', b'"pay_code":"2","pay_code"'),
        body(postings=[{**POSTING, "amount": "all"}]),
        body(unknown=1),
        body(reference=None),
        body(reference="é"),
        body(reference='a "quoted" one'),
        body(reference="a@").replace(b"@", b"\x7f"),
        body(value_date="2026-11-23"),
        body(conditions=[]),
        b"",
        b"[]",
        b"{}",
        body()[:-1],
        body() + b"}",
    ],
)
def test_what_is_not_plain_is_left_to_the_models(content: bytes) -> None:
    assert plain_payment(content) is None


texts = st.text(st.characters(min_codepoint=1, max_codepoint=0x17F), max_size=66)
numbers = st.one_of(st.integers(-2, 3), st.integers(2**53 - 2, 2**53 + 1), st.floats(), texts)
postings = st.fixed_dictionaries(
    {
        "credit": st.sampled_from(["b", "c:1", ""]),
        "amount": numbers,
        "currency": st.sampled_from(["EUR", "JPY", "XXX", "eur", ""]),
    },
    optional={
        "debit": st.one_of(st.from_regex(r"[A-Za-z0-9:._-]{0,66}", fullmatch=True), texts),
    },
)
bodies = st.fixed_dictionaries(
    {"postings": st.lists(postings, max_size=3)},
    optional={
        "mode": st.sampled_from(["settle", "hold", "held"]),
        "hold_timeout_s": st.integers(0, 2_592_001),
        "carrier": st.sampled_from(["api", "qr", "fax"]),
        "reference": st.one_of(st.none(), texts),
        "metadata": st.dictionaries(texts, texts, max_size=3),
        "pay_code": st.one_of(st.just("4000123"), texts),
        "more": st.just(1),
    },
)


@given(bodies, st.booleans())
def test_any_body_it_takes_is_the_models_own(members: Any, ascii_only: bool) -> None:
    content = json.dumps(members, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    plain = plain_payment(content)
    if plain is not None:
        try:
            expected = by_the_models(content)
        except Problem as problem:
            raise AssertionError(problem.members) from problem
        assert plain.asked == expected
