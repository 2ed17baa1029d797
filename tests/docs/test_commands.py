"""Every command in README.md and docs/ is run, on a product that is really there.

A page's ```bash blocks run in one shell, after the README's: keys are idempotent, so its
payments happen once. A ```json block shows the last line of output of the block before it; "…"
in it stands for any value.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.fixtures.fix_folders import open_folder
from tests.fixtures.fix_secrets import note_answer
from tests.fixtures.fix_tally import PROGRAM, ROOT, Up, environment

PAGES = ("README.md", *(str(page.relative_to(ROOT)) for page in sorted(ROOT.glob("docs/*.md"))))
URL_IN_DOCS = "http://127.0.0.1:8000"
SEPARATOR = "\x1e"
FENCE = re.compile(r"^```(bash|json)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

NOT_RUN = {
    "make run": "the product of this test stands for it; tests/e2e starts it as `tally up`",
    "make demo": "is `tally demo --scratch`, which tests/e2e runs",
    "make check   #": "would run this test",
    "make bench": "takes minutes; tests/e2e runs `tally bench`, shortly, tests/unit the report",
    "tally up --dsn": "needs a PostgreSQL of the reader's; tests/integration connects by DSN",
    "TALLY_OWNER_DSN=": "the same, in parts; tests/e2e starts each part on its own",
    "install -m 600 .env": "begins what needs Docker; tests/unit/test_compose.py checks the files",
    "docker-compose": "needs Docker and its images; the same test checks each command",
    "export TALLY_KAFKA_": "needs a Kafka of the reader's; tests/integration runs one",
}
"""How blocks begin that are not run, each with the reason."""


class Step(NamedTuple):
    command: str
    shown: Any
    """The JSON that the page shows after it; None where it shows nothing."""


def steps(page: str) -> list[Step]:
    found: list[Step] = []
    for language, text in FENCE.findall((ROOT / page).read_text()):
        if language == "bash":
            found.append(Step(text, None))
        elif found:
            found[-1] = found[-1]._replace(shown=json.loads(text))
    return [step for step in found if not step.command.startswith(tuple(NOT_RUN))]


class Reader(NamedTuple):
    folder: Path
    """Where the reader's terminal is: `.tally` and `.venv/bin/tally` are in it."""
    url: str


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with open_folder() as folder:
        tally = folder / ".venv" / "bin" / "tally"
        tally.parent.mkdir(parents=True)
        tally.write_text(f'#!/bin/sh\nexec {shlex.join(PROGRAM)} "$@"\n')
        tally.chmod(0o755)
        up = Up(folder / ".tally")
        try:
            yield Reader(folder, up.url)
        finally:
            assert up.stop() == 0


def run(script: list[Step], reader: Reader) -> list[str]:
    """What each step prints. All run in one shell, which stops at the first that fails."""
    text = f"printf '{SEPARATOR}'\n".join(step.command for step in script)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text.replace(URL_IN_DOCS, reader.url)],
        cwd=reader.folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    note_answer(done.stdout.encode())
    printed = done.stdout.split(SEPARATOR)
    assert done.returncode == 0, f"{script[len(printed) - 1].command}\n{printed[-1]}\n{done.stderr}"
    return printed


def differences(shown: Any, actual: Any, at: str = "") -> list[str]:
    if shown == "…":
        return []
    if isinstance(shown, dict) and isinstance(actual, dict) and shown.keys() == actual.keys():
        return [d for name in shown for d in differences(shown[name], actual[name], f"{at}/{name}")]
    if isinstance(shown, list) and isinstance(actual, list) and len(shown) == len(actual):
        return [d for i, one in enumerate(shown) for d in differences(one, actual[i], f"{at}/{i}")]
    return [] if shown == actual else [f"{at}: the page shows {shown!r}, it is {actual!r}"]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_what_it_says(page: str, reader: Reader) -> None:
    own = steps(page)
    if page != PAGES[0]:
        own = steps(PAGES[0]) + own
    for step, printed in zip(own, run(own, reader), strict=True):
        if step.shown is not None:
            last = json.loads(printed.strip().splitlines()[-1])
            assert differences(step.shown, last) == [], step.command
        # A page that shows no problem makes none.
        if "problem" not in json.dumps(step.shown):
            assert "urn:tallystick:problem" not in printed, f"{step.command}\n{printed}"


def test_what_is_not_run_is_still_there() -> None:
    blocks = [
        text
        for page in PAGES
        for language, text in FENCE.findall((ROOT / page).read_text())
        if language == "bash"
    ]
    for beginning in NOT_RUN:
        assert any(block.startswith(beginning) for block in blocks), beginning
