"""Commands and answers come out of the bytes as they went in."""

from __future__ import annotations

import logging
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.answers import Answer
from application.batch import BulkRefused
from application.commands import Command
from application.ports import StorageFull, StoreUnavailable
from application.wire import (
    Answered,
    Sent,
    WriterDefect,
    answers_in,
    answers_told,
    commands_in,
    commands_told,
    kind_and_content,
)
from application.writer import Overloaded
from domain.money import MAX_BALANCE_MINOR, MIN_BALANCE_MINOR
from domain.refusals import InsufficientFunds, NotFound, Refusal, TooManyAttempts
from tests.fixtures.fix_ledger import payment

AMOUNTS = st.integers(MIN_BALANCE_MINOR, 2 * MAX_BALANCE_MINOR)
"""What is available is a balance and an overdraft."""
VALUES = st.recursive(
    st.none() | st.booleans() | AMOUNTS | st.text(),
    lambda each: st.lists(each) | st.dictionaries(st.text(), each),
    max_leaves=5,
)
st.register_type_strategy(int, st.integers(MIN_BALANCE_MINOR, MAX_BALANCE_MINOR))


def below(kind: type[Any]) -> dict[str, type[Any]]:
    """By name: a class with slots has a twin without them."""
    found: dict[str, type[Any]] = {}
    for each in kind.__subclasses__():
        found |= {each.__name__: each, **below(each)}
    return found


COMMANDS = [kind for kind in below(Command).values() if not kind.__subclasses__()]
REFUSALS = [kind for kind in below(Refusal).values() if "code" in vars(kind)]
REFUSALS.remove(BulkRefused)


def commands(kind: type[Command]) -> st.SearchStrategy[Command]:
    """With any values that the members' types allow."""
    of_json = {
        name: st.dictionaries(st.text(), VALUES)
        for name, hint in get_type_hints(kind).items()
        if hint == dict[str, Any]
    }
    return st.builds(kind, **of_json)


@pytest.mark.parametrize("kind", COMMANDS, ids=lambda kind: kind.__name__)
def test_commands(kind: type[Command]) -> None:
    @settings(max_examples=25)
    @given(sent=st.lists(st.tuples(commands(kind), st.booleans()), max_size=3))
    def told(sent: list[tuple[Command, bool]]) -> None:
        content = commands_told(
            Sent(number, in_doubt, *kind_and_content(command))
            for number, (command, in_doubt) in enumerate(sent)
        )
        found = commands_in(content)
        assert [each.number for each in found] == list(range(len(sent)))
        for each, (command, in_doubt) in zip(found, sent, strict=True):
            assert each.in_doubt is in_doubt
            assert type(each.command) is kind
            assert as_told(each.command) == as_told(command)

    told()


def as_told(value: Any) -> Any:
    """A sequence is one, of whatever kind."""
    if isinstance(value, Command):
        return type(value), [as_told(getattr(value, name)) for name in get_type_hints(type(value))]
    return [*map(as_told, value)] if isinstance(value, list | tuple) else value


def test_there_are_commands_and_refusals() -> None:
    assert len(COMMANDS) > 20
    assert len(REFUSALS) > 30


@given(
    st.dictionaries(st.text(), VALUES),
    st.none() | st.dictionaries(st.text(), VALUES),
    st.integers(0, MAX_BALANCE_MINOR),
    st.booleans(),
)
def test_answers(body: Any, refusal: Any, position: int, replayed: bool) -> None:
    alone = Answer(body, refusal, position, replayed)
    together = Answer({}, None, position, replayed, (alone, alone))
    told = answers_in(answers_told([Answered(1, alone), Answered(2, together)]))
    assert told == [Answered(1, alone), Answered(2, together)]


def once_told(error: Exception) -> Any:
    ((number, told),) = answers_in(answers_told([Answered(7, error)]))
    assert number == 7
    return told


@pytest.mark.parametrize("kind", REFUSALS, ids=lambda kind: kind.__name__)
def test_refusals(kind: type[Refusal]) -> None:
    members: dict[str, Any] = {"account": "a", "index": 3}
    error = kind(42) if kind is TooManyAttempts else kind(**members)
    told = once_told(error)
    assert type(told) is kind
    assert (told.members, vars(told)) == (error.members, vars(error))
    assert str(told) == str(error)


def test_what_a_line_of_a_bulk_was_refused_for() -> None:
    told = once_told(BulkRefused(3, InsufficientFunds(account="a")))
    assert isinstance(told, BulkRefused)
    assert told.members == {"line": 3}
    assert isinstance(told.refusal, InsufficientFunds)
    assert told.refusal.members == {"account": "a"}


def test_a_refusal_among_lines() -> None:
    lines = (Answer({"id": "x"}, None, 9, replayed=True), NotFound(), StoreUnavailable())
    told = answers_in(answers_told([Answered(1, Answer({}, None, 9, replayed=False, lines=lines))]))
    answer = told[0].result
    assert isinstance(answer, Answer)
    assert answer.lines[0] == lines[0]
    assert [type(line) for line in answer.lines[1:]] == [NotFound, StoreUnavailable]


@pytest.mark.parametrize("kind", [Overloaded, StorageFull, StoreUnavailable])
def test_troubles(kind: type[Exception]) -> None:
    assert type(once_told(kind())) is kind


def test_a_defect_is_logged_where_it_happened(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        told = once_told(KeyError("of the writer"))
    assert type(told) is WriterDefect
    assert caplog.records[0].exc_info is not None
    assert "of the writer" not in str(told)


def test_an_answer_that_cannot_be_told_is_one_defect_among_answers() -> None:
    good = Answer({"a": 1}, None, 3, replayed=False)
    bad = Answer({"a": 2**70}, None, 3, replayed=False)
    told = answers_in(answers_told([Answered(1, good), Answered(2, bad), Answered(3, good)]))
    assert [each.number for each in told] == [1, 2, 3]
    assert (told[0].result, told[2].result) == (good, good)
    assert type(told[1].result) is WriterDefect


def test_a_command_that_cannot_be_told_is_known_at_once() -> None:
    with pytest.raises(OverflowError):
        kind_and_content(payment("p", ("a", "b", 2**70)))
