"""The image: what the lock names and what the wheel needs, run by a user without rights."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path

from infrastructure.settings import Settings

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    joined = re.sub(r"\\\n\s*", "", text)
    return [
        (name, rest)
        for name, _, rest in (line.partition(" ") for line in joined.splitlines())
        if name
    ]


def test_the_image_has_a_python_that_the_project_takes() -> None:
    images = [rest.split()[0] for name, rest in instructions() if name == "FROM"]
    assert len(images) == 2
    assert len(set(images)) == 1
    matched = re.fullmatch(r"python:(\d+)\.(\d+)-slim", images[0])
    assert matched
    least = re.fullmatch(r">=(\d+)\.(\d+)", PROJECT["project"]["requires-python"])
    assert least
    assert tuple(map(int, matched.groups())) >= tuple(map(int, least.groups()))


def test_the_image_installs_what_the_lock_names_and_fetches_nothing_else() -> None:
    installs = [rest for name, rest in instructions() if name == "RUN" and "pip install" in rest]
    locked, ourselves = (shlex.split(install)[2:] for install in installs)
    assert locked == [
        "--no-deps",
        "--require-hashes",
        "--only-binary",
        ":all:",
        "-r",
        "requirements.lock",
    ]
    assert ourselves == ["--no-deps", "--no-build-isolation", "."]
    fetching = r"apt|curl|wget|https?:|^ADD|--index|pip (?!install)"
    assert not [rest for _, rest in instructions() if re.search(fetching, rest)]
    assert {name for name, _ in instructions()} == {
        "FROM", "ENV", "WORKDIR", "RUN", "COPY", "USER", "EXPOSE", "ENTRYPOINT", "CMD",
    }  # fmt: skip


def test_the_image_copies_what_the_wheel_needs_and_nothing_else() -> None:
    copied = [
        source.rstrip("/")
        for name, rest in instructions()
        if name == "COPY" and not rest.startswith("--from=build /opt/")
        for source in rest.split()[:-1]
    ]
    project = PROJECT["project"]
    needed = {
        "pyproject.toml",
        "requirements.lock",
        project["readme"],
        *project["license-files"],
        *PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"],
    }
    assert sorted(copied) == sorted(needed)
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    # Everything is left out, but for these; order counts.
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == needed
    assert rules[-1] == "**/__pycache__"


def test_the_image_ends_as_a_user_without_rights_and_runs_tally() -> None:
    last = dict(instructions())
    user = re.fullmatch(r"(\d+):(\d+)", last["USER"])
    assert user
    assert all(int(number) >= 1000 for number in user.groups())
    made = " ".join(rest for name, rest in instructions() if name == "RUN")
    assert f"--gid {user[2]} tally" in made
    assert f"useradd --uid {user[1]} --gid {user[2]} " in made
    assert json.loads(last["ENTRYPOINT"]) == ["tally"]
    assert json.loads(last["CMD"]) == ["--help"]
    assert last["EXPOSE"] == str(Settings.model_fields["port"].default)
    assert "tally" in PROJECT["project"]["scripts"]
