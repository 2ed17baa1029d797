"""Fuzzed EMVCo texts: an error, or fields that are built to the same text again."""

from __future__ import annotations

import random
from collections.abc import Callable

from infrastructure.carriers.emvco import NotEmvco, amount_minor, build, currency, parse
from tests.unit.carriers.test_emvco import PUBLISHED, with_crc

ALPHABET = "0123456789" * 6 + "ABZabz.*-é最\U0001f4b6\n \x00²"


def fuzzed(text: str, chance: random.Random) -> str:
    """A few characters changed, put in, left out, doubled or moved; often with a right CRC."""
    letters = list(text[:-8])
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(letters) + 1)
        length = chance.choice((1, 1, 2, 4, 8, 30))
        piece = letters[at : at + length]
        match chance.randrange(5):
            case 0:
                letters[at : at + 1] = chance.choice(ALPHABET)
            case 1:
                letters[at:at] = chance.choices(ALPHABET, k=length)
            case 2:
                del letters[at : at + length]
            case 3:
                letters[at:at] = piece
            case 4:
                del letters[at : at + length]
                to = chance.randrange(len(letters) + 1)
                letters[to:to] = piece
    made = "".join(letters)
    return with_crc(made) if chance.random() < 0.9 else made + text[-8:]


def field(chance: random.Random) -> str:
    value = "".join(chance.choices(ALPHABET, k=chance.choice((0, 1, 2, 3, 5, 13, 25, 99))))
    length = len(value) if chance.random() < 0.95 else chance.randrange(100)
    return f"{chance.randrange(100):02}{length:02}{value}"


def made_up(chance: random.Random) -> str:
    return with_crc("000201" + "".join(field(chance) for _ in range(chance.randrange(6))))


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
