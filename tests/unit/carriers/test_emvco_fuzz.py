"""Fuzzed EMVCo texts: an error, or fields that are built to the same text again."""

from __future__ import annotations

import random
from collections.abc import Callable

from infrastructure.carriers.emvco import NotEmvco, amount_minor, build, currency, parse
from tests.fixtures.fix_emvco import PUBLISHED, fuzzed, made_up


def test_a_fuzzed_text_is_refused_or_is_built_to_the_same_again(
    scaled: Callable[..., int], figure: Callable[[str, object], None]
) -> None:
    chance = random.Random(22)
    published = list(PUBLISHED)
    taken = 0
    times = scaled(100_000)
    for _ in range(times):
        text = (
            made_up(chance) if chance.random() < 0.3 else fuzzed(chance.choice(published), chance)
        )
        try:
            fields = parse(text)
            assert build(fields) == text
            taken += 1
            amount = amount_minor(fields)
        except NotEmvco:
            continue
        assert amount is None or (amount > 0 and currency(fields))
    figure(f"EMVCo texts taken, of {times:,} fuzzed", taken)
    assert 0.1 < taken / times < 0.9, "both ways are walked"
