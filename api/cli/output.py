"""What every command says, and how: JSON on stdout for programs, tables for people, exit codes.

Exit codes: 0 good, 1 the answer is no, 2 could not run.
"""

import json
import sys
from enum import IntEnum
from typing import Annotated, Any
from unicodedata import category

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from infrastructure.cannot_start import CannotStart


class _Terminal(Console):
    """Shows strings as text: what stands in a file, or comes from a server, must not steer it."""

    def render_str(self, text: str, **options: Any) -> Text:
        shown = "".join(
            char if char == "\n" or category(char)[0] != "C" else repr(char)[1:-1] for char in text
        )
        return super().render_str(shown, **options)


out = _Terminal(highlight=False)
err = _Terminal(stderr=True, highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


class ExitCode(IntEnum):
    NO = 1
    COULD_NOT_RUN = 2


class CannotRun(CannotStart):
    """The command could not do its work; the message is one line that says what to do."""


def print_json(answer: Any) -> None:
    """One object, one line, at once: whoever reads our pipe is waiting for it."""
    sys.stdout.write(json.dumps(answer, ensure_ascii=False, separators=(", ", ": ")) + "\n")
    sys.stdout.flush()


def say(message: str) -> None:
    """Progress and warnings, for people, on stderr."""
    err.print(message, markup=False, soft_wrap=True)


def answer_is_no() -> typer.Exit:
    """To be raised where the command ran well and its answer is no."""
    return typer.Exit(ExitCode.NO)


def table(*columns: str, numbers: tuple[str, ...] = (), title: str | None = None) -> Table:
    """A table whose `numbers` columns are set to the right."""
    made = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in numbers else "left")
    return made
