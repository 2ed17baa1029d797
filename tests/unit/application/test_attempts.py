"""Attempts at codes: so many a minute, the same one once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from application.attempts import Attempt, AttemptLimits, Attempts
from domain.refusals import TooManyAttempts
from tests.fixtures.fix_attempts import AttemptsInMemory

NOW = datetime(2026, 11, 23, tzinfo=UTC)
LIMITS = AttemptLimits(per_caller=3, per_account=2)


def attempt(number: int, *, caller: str = "shop", account: str = "a", ago_s: float = 0) -> Attempt:
    return Attempt(UUID(int=number), b"", caller, account, NOW - timedelta(seconds=ago_s))


def attempts(*made: Attempt, limits: AttemptLimits = LIMITS) -> Attempts:
    return Attempts(AttemptsInMemory(*made), limits, NOW, made)


def test_a_caller_and_an_account_have_so_many() -> None:
    of = attempts(attempt(1), attempt(2, account="b"))
    of.check(attempt(3))
    of.count(attempt(3))
    with pytest.raises(TooManyAttempts):
        of.check(attempt(4, account="c"))
    with pytest.raises(TooManyAttempts):
        of.check(attempt(4, caller="till"))
    of.check(attempt(4, caller="till", account="b"))


def test_it_fits_again_when_the_one_that_fills_the_window_leaves_it() -> None:
    of = attempts(
        attempt(1, ago_s=59.5), attempt(2, ago_s=40, caller="other"), attempt(3, ago_s=60)
    )
    with pytest.raises(TooManyAttempts) as refusal:
        of.check(attempt(4))
    assert refusal.value.retry_after_s == 1
    later = attempts(attempt(1, ago_s=30), attempt(2, ago_s=10.5))
    with pytest.raises(TooManyAttempts) as refusal:
        later.check(attempt(4))
    assert refusal.value.retry_after_s == 30


def test_the_same_request_is_one_attempt() -> None:
    of = attempts(attempt(1), attempt(2))
    of.check(attempt(1))
    of.count(attempt(1))
    with pytest.raises(TooManyAttempts):
        of.check(attempt(3))


def test_another_process_may_be_faster() -> None:
    store = AttemptsInMemory()
    of = Attempts(store, LIMITS, NOW, ())
    store.made += [attempt(1), attempt(2)]
    of.check(attempt(3))
    with pytest.raises(TooManyAttempts) as refusal:
        of.count(attempt(3))
    assert refusal.value.retry_after_s == 60
