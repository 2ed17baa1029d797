"""`tally`: one file a command, each a function that typer reads; only the one asked for is loaded.

Exit codes: 0 good, 1 the answer is no, 2 could not run (one line on stderr says why).
"""

import gc
import sys
from importlib import import_module
from typing import Any, Final

import psycopg
import typer
from typer.core import TyperGroup

from api.cli.output import ExitCode, say
from infrastructure.cannot_start import CannotStart
from projections.feed import FeedAway

COMMANDS: Final = {
    "up": "up:up",
    "serve": "serve:serve",
    "project": "project:project",
    "mirror": "mirror:mirror",
    "migrate": "migrate:migrate",
    "keys": "keys:keys",
    "import": "import_file:import_file",
    "paycode": "paycode:paycode",
    "cashier": "cashier:cashier",
    "demo": "demo:demo",
    "status": "status:status",
    "reconcile": "reconcile:reconcile",
    "bench": "bench:bench",
    "rebuild": "rebuild:rebuild",
    "doctor": "doctor:doctor",
}
"""Where each command is: module and function (or typer app) in this package."""
PARTS: Final = {"write": "write:write"}
"""Those that only other commands start."""


class Commands(TyperGroup):
    """Loads a command when it is asked for: a worker need not load the web framework's router."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        return list(COMMANDS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        if (place := (COMMANDS | PARTS).get(cmd_name)) is None:
            return None
        module, _, name = place.partition(":")
        # All of what is loaded stays: looking through it for garbage takes a fifth of a start.
        gc.disable()
        found = getattr(import_module(f"api.cli.{module}"), name)
        gc.freeze()
        gc.enable()
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            alone.command(name=cmd_name)(found)
            found = alone
        return typer.main.get_command(found)


app = typer.Typer(
    cls=Commands,
    help="A payments ledger: commands in, immutable events kept, balances and statements out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _tally() -> None:
    pass


def main() -> None:
    """The console script: whatever goes wrong is one line and an exit code."""
    try:
        app(prog_name="tally")
    except Exception as error:  # noqa: BLE001 (a command ends with a line, not with a stack trace)
        say(f"tally: {_reason(error)}")
        sys.exit(ExitCode.COULD_NOT_RUN)


def _reason(error: Exception) -> str:
    first_line = (str(error).splitlines() or [""])[0]
    if isinstance(error, CannotStart | FeedAway):
        return first_line
    if isinstance(error, psycopg.OperationalError):
        return f"PostgreSQL can't be reached, or gave up: {first_line}"
    return f"internal error, please report it: {type(error).__name__}: {first_line}"
