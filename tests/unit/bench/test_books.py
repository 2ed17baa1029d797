"""A benchmark is good only where the store has what the answers said, and its books balance."""

from __future__ import annotations

from typing import Any

import pytest

from api.bench.books import Books
from api.bench.jobs import Done


def done(does: str, **answers: int) -> Done:
    return Done(
        does=does,
        answers={name.strip("_"): times for name, times in answers.items()},
        rate=1.0,
        requests=1,
        p50_ms=None,
        p99_ms=None,
        p999_ms=None,
        longest_ms=None,
    )


def books() -> Books:
    """Of 2 accounts, 10 payments, 5 holds with their captures, and 7 reads: 4 + 30 + 35 events."""
    made = Books(start=100)
    made.answered([done("openings", _201=2), done("spread", _201=10)])
    made.answered([done("holds", _201=5, _200=5), done("reads", _200=7)])
    return made


RIGHT: dict[str, Any] = {"sums": {"EUR": 0}, "differences": ()}


def test_books_are_right_where_the_store_has_what_was_answered() -> None:
    proof = books().proved(169, **RIGHT)
    assert (proof.answered, proof.committed, proof.good) == (69, 69, True)


@pytest.mark.parametrize("end", [168, 170, 172])
def test_an_event_too_few_or_too_many_is_found(end: int) -> None:
    assert not books().proved(end, **RIGHT).good


@pytest.mark.parametrize(
    "planted", [{"sums": {"EUR": 0, "JPY": -1}}, {"differences": ["balances: another"]}], ids=str
)
def test_what_the_ledger_says_of_itself_counts(planted: dict[str, Any]) -> None:
    assert not books().proved(169, **{**RIGHT, **planted}).good


@pytest.mark.parametrize(("does", "status"), [("spread", "422"), ("reads", "503"), ("hot", "200")])
def test_an_answer_that_should_not_be_is_named(does: str, status: str) -> None:
    made = books()
    made.answered([done(does, **{f"_{status}": 3})])
    proof = made.proved(169, **RIGHT)
    assert not proof.good
    assert proof.other_answers == {f"{does}: {status}": 3}
