"""Digits that are derived, streams that are found by them, codes that a phone makes."""

from __future__ import annotations

import hashlib
import hmac
from uuid import UUID, uuid4

import pytest

from domain.code_digits import is_code
from infrastructure.devices import offline_code
from infrastructure.pay_codes import PayCodes
from infrastructure.secret import Secrets

OLD, NEW = "the secret before", "the secret of now"
COMMAND = UUID("11111111-2222-4333-8444-555555555555")


def codes(current: str, previous: str | None = None, prefix: str = "9700") -> PayCodes:
    return PayCodes(Secrets(current, previous), prefix=prefix)


def test_digits_are_of_the_command_and_lead_to_its_code() -> None:
    of = codes(NEW)
    code = of.issued(COMMAND)
    digits = of.digits(COMMAND, code)
    assert digits is not None
    assert is_code(digits)
    assert digits.startswith("9700")
    assert of.streams(digits) == (code,)
    assert of.digits(uuid4(), code) is None
    assert code.version == 8
    assert len({of.digits(one, of.issued(one)) for one in (uuid4() for _ in range(100))}) == 100


def test_a_code_outlives_one_change_of_the_secret_with_its_id() -> None:
    code = codes(OLD).issued(COMMAND)
    digits = codes(OLD).digits(COMMAND, code)
    assert digits is not None
    turning = codes(NEW, OLD)
    assert turning.digits(COMMAND, code) == digits
    assert code in turning.streams(digits)
    assert turning.issued(COMMAND) != code
    assert codes(NEW).digits(COMMAND, code) is None
    assert code not in codes(NEW).streams(digits)


@pytest.mark.parametrize("text", ["", "\ud800", "é" * 1000, "9700"])
def test_any_text_leads_to_streams(text: str) -> None:
    assert len(codes(NEW, OLD).streams(text)) == 2


def test_a_phone_s_code_is_what_the_documentation_says() -> None:
    """RFC 4231's keys and data are not of this form: the formula once more, by hand."""
    secret, step = bytes(range(20)), 59_680_621
    digest = hmac.new(secret, step.to_bytes(8, "big"), hashlib.sha256).digest()
    twelve = f"{int.from_bytes(digest[:8], 'big') % 10**12:012}"
    code = offline_code("9701", "0417725", secret, step)
    assert is_code(code)
    assert code[:23] == f"97010417725{twelve}"
