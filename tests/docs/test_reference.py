"""What the pages list is what the code has: settings, codes, events, commands, metrics."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import typer
from typer.core import TyperGroup

from api.bench.scenarios import SCENARIOS
from api.cli import app as cli
from api.metrics import Metrics
from api.problems import STATUS
from domain.refusals import REFUSED
from domain.registry import EVENTS
from domain.transitions import TRANSITIONS, State
from infrastructure.settings import OTHERS, PREFIX, Settings
from infrastructure.state_diagram import drawn

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text()


def rows(name: str, beginning: str) -> dict[str, str]:
    """Of the table rows of a page that begin with such a code: the code, and the next cell."""
    found = re.findall(rf"^\| `({beginning})` \|(.*?)\|", page(name), re.MULTILINE)
    return {code: cell.strip(" `") for code, cell in found}


def test_every_setting_has_a_row_with_its_default() -> None:
    settings = {
        f"{PREFIX}{name.upper()}": "" if field.default is None else str(field.default)
        for name, field in Settings.model_fields.items()
    }
    assert rows("operations", "TALLY_[A-Z_]+") == settings
    for other in OTHERS:
        assert f"`{other}`" in page("operations")


def test_every_code_has_a_row_with_its_status() -> None:
    assert (
        rows("clients", "[a-z_]+").items()
        >= {code: str(status) for code, status in STATUS.items()}.items()
    )


def test_the_refusals_stand_in_the_order_of_the_documented_precedence() -> None:
    table = page("money").partition("## Refusals, in their order")[2]
    assert re.findall(r"`(\w+)` \| 422 \| yes", table) == list(REFUSED)


def test_the_picture_of_states_is_the_table_of_the_domain() -> None:
    assert drawn(page("money")) == page("money"), "run: make schemas"
    arrows = set(re.findall(r"^  (\S+) --> (\w+): (.+)$", page("money"), re.MULTILINE))
    assert {
        (before, step, state) for before, state, steps in arrows for step in steps.split(", ")
    } == {
        (before or "[*]", step, state)
        for (before, step), states in TRANSITIONS.items()
        for state in states
    }


def test_every_state_is_a_filter_of_the_reporting_page() -> None:
    (told,) = re.findall(r"`state` \((.*?)\)", page("reporting"))
    assert set(re.findall(r"`(\w+)`", told)) == set(get_args(State))


def test_every_event_type_is_explained_to_auditors() -> None:
    assert rows("auditors", r"tally\.[a-z_.]+v\d").keys() == EVENTS.keys()


def test_every_command_of_tally_is_documented() -> None:
    commands = typer.main.get_command(cli)
    assert isinstance(commands, TyperGroup)
    text = "".join(file.read_text() for file in DOCS.glob("*.md"))
    assert [name for name in commands.commands if f"`tally {name}" not in text] == []


def test_what_can_be_measured_and_how_is_documented() -> None:
    assert rows("performance", "[a-z ]+").keys() == set(SCENARIOS)
    commands = typer.main.get_command(cli)
    assert isinstance(commands, TyperGroup)
    command = commands.get_command(typer.Context(commands), "bench")
    # Of a pair, the one that changes something is told of.
    options = {
        each.secondary_opts[0] if each.secondary_opts else each.opts[0] for each in command.params
    } - {"--json"}
    assert set(re.findall(r"`(--[a-z-]+)", page("performance"))) == options


@pytest.mark.parametrize("name", ["paycode", "cashier"])
def test_the_options_of_a_terminal_are_those_on_its_page(name: str) -> None:
    commands = typer.main.get_command(cli)
    assert isinstance(commands, TyperGroup)
    command = commands.get_command(typer.Context(commands), name)
    assert command is not None
    section = page("mobile-payments").partition(f"## `tally {name}`\n")[2].partition("\n## ")[0]
    options = {option for each in command.params for option in each.opts}
    assert set(re.findall(r"^\| `(--[a-z-]+)", section, re.MULTILINE)) == options


def test_every_metric_is_documented() -> None:
    exposed = Metrics().exposition(
        queued=0, status={"end": 0, "projections": {}, "mirror": None}, halted={}, pool={}
    )
    names = set(re.findall(r"^# TYPE (\w+) \w+$", exposed.decode(), re.MULTILINE))
    documented = set(re.findall(r"`(tally_\w+)`", page("operations")))
    assert {name for name in names if not name.endswith("_created")} <= documented


def test_links_between_pages_lead_somewhere() -> None:
    for text in (*DOCS.rglob("*.md"), ROOT / "README.md"):
        for target in re.findall(r"\]\((?!http|#)([^)#]+)", text.read_text()):
            assert (text.parent / target).exists(), f"{text.name}: {target}"


def test_what_the_architecture_names_is_there() -> None:
    named = re.findall(r"`((?:\w+/)+\w+\.(?:py|sql))`(?: `(\w+)`)?", page("architecture"))
    assert named
    for file, name in named:
        source = (ROOT / file).read_text()
        if name:
            assert re.search(rf"(def|class|FUNCTION) (tally\.)?{name}\b", source), f"{file} {name}"
