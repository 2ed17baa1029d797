"""Commands and answers as bytes, on their way between an API process and the writer's.

MessagePack, by msgspec, which makes checked values of it in a microsecond. Nothing of it is kept,
and both ends are started together: it has no versions.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from itertools import chain
from types import ModuleType
from typing import Any, Final, NamedTuple

from msgspec import Raw, Struct, convert
from msgspec.msgpack import Decoder, Encoder

from application import commands
from application.answers import Answer
from application.batch import BulkRefused
from application.commands import Command
from application.ports import StorageFull, StoreUnavailable
from application.writer import Overloaded
from domain import refusals
from domain.refusals import Refusal, TooManyAttempts

_log = logging.getLogger(__name__)


class Sent(NamedTuple):
    """A command on its way to the writer."""

    number: int
    """Its answer has the same one."""
    in_doubt: bool
    """Another writer may have recorded it without saying so."""
    kind: str
    content: Raw

    @property
    def command(self) -> Command:
        """Raises msgspec.ValidationError where it isn't one."""
        command: Command = _COMMANDS[self.kind].decode(self.content)
        return command


class Answered(NamedTuple):
    number: int
    result: Answer | Exception


class WriterDefect(Exception):
    """The writer's process ran into a defect; its log says into which."""


class _Raised(Struct):
    """What the writer raised, by the name of its class."""

    raised: str
    members: dict[str, Any] = {}
    refusal: _Raised | None = None
    """What a line of a bulk was refused for."""


def _of(module: ModuleType, kind: type[Any]) -> dict[str, type[Any]]:
    """What the module defines of that kind, by name."""
    return {
        name: each
        for name, each in vars(module).items()
        if isinstance(each, type) and issubclass(each, kind)
    }


_COMMANDS: Final = {name: Decoder(kind) for name, kind in _of(commands, Command).items()}
_REFUSALS: Final[dict[str, type[Refusal]]] = _of(refusals, Refusal)
_TROUBLES: Final[dict[str, type[Exception]]] = {
    kind.__name__: kind for kind in (Overloaded, StorageFull, StoreUnavailable, WriterDefect)
}

_sent: Final = Decoder(list[Sent])
_told: Final = Decoder(list[tuple[int, Any]])


def kind_and_content(command: Command) -> tuple[str, Raw]:
    """What goes into `Sent`. Raises TypeError, OverflowError where the command can't be told."""
    return type(command).__name__, Raw(_encoder.encode(command))


def commands_told(sent: Iterable[Sent]) -> bytes:
    return _encoder.encode(list(sent))


def commands_in(content: bytes) -> list[Sent]:
    """What `commands_told` made bytes of."""
    return _sent.decode(content)


def answers_told(answers: Sequence[Answered]) -> bytes:
    """A defect is logged here, and told as one; an answer that can't be told is one too."""
    try:
        return _encoder.encode(answers)
    except Exception as defect:  # noqa: BLE001 (the others are to be answered)
        if len(answers) == 1:
            return _encoder.encode([Answered(answers[0].number, defect)])
    alone = (_told.decode(answers_told([each])) for each in answers)
    return _encoder.encode([*chain.from_iterable(alone)])


def answers_in(content: bytes) -> list[Answered]:
    """What `answers_told` made bytes of."""
    return [Answered(number, _result(told)) for number, told in _told.decode(content)]


def _result(told: Any) -> Answer | Exception:
    if isinstance(told, dict):
        return _exception(convert(told, _Raised))
    body, refusal, position, replayed, lines = told
    return Answer(body, refusal, position, replayed, tuple(map(_result, lines)))


def _raised(error: Any) -> _Raised:
    """How msgspec encodes an exception, which it asks for alone."""
    assert isinstance(error, Exception)
    name = type(error).__name__
    match error:
        case BulkRefused():
            return _Raised(name, error.members, _raised(error.refusal))
        case TooManyAttempts():
            return _Raised(name, {"retry_after_s": error.retry_after_s})
        case Refusal():
            return _Raised(name, error.members)
        case Overloaded() | StorageFull() | StoreUnavailable():
            return _Raised(name)
        case _:
            _log.error("a command failed", exc_info=error)
            return _Raised(WriterDefect.__name__)


def _exception(told: _Raised) -> Exception:
    if told.raised in _TROUBLES:
        return _TROUBLES[told.raised]()
    if told.refusal:
        refusal = _exception(told.refusal)
        assert isinstance(refusal, Refusal)
        return BulkRefused(told.members["line"], refusal)
    return _REFUSALS[told.raised](**told.members)


_encoder: Final = Encoder(enc_hook=_raised)
