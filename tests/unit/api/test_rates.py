"""A caller asks so often a second, and no more."""

from __future__ import annotations

import pytest

from api.rates import Rates


def test_a_caller_may_ask_so_often_a_second_whatever_others_do() -> None:
    now = [0.0]
    rates = Rates(5, monotonic=lambda: now[0])
    assert [rates.take("shop") for _ in range(7)] == [True] * 5 + [False] * 2
    assert rates.take("another")
    now[0] = 0.5
    assert [rates.take("shop") for _ in range(4)] == [True] * 2 + [False] * 2
    now[0] = 60.0
    assert [rates.take("shop") for _ in range(6)] == [True] * 5 + [False]


@pytest.mark.parametrize("per_s", [1, 3, 100])
def test_over_a_long_time_the_rate_is_the_one_set(per_s: int) -> None:
    now = [0.0]
    rates = Rates(per_s, monotonic=lambda: now[0])
    taken = 0
    for _ in range(10_000):
        now[0] += 0.001
        taken += rates.take("shop")
    assert per_s * 10 - 1 <= taken <= per_s * 10 + per_s


def test_without_a_limit_nobody_is_held_up() -> None:
    rates = Rates(None)
    assert all(rates.take("shop") for _ in range(1_000))
