"""Rules of the house, which no linter we use knows."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import iso4217
import pytest

from domain import refusals
from domain.currencies import MINOR_UNIT_EXPONENTS, NUMERIC_CODES
from infrastructure import cannot_start

ROOT = Path(__file__).parents[2]
PACKAGES = ("api", "application", "domain", "infrastructure", "projections")
LOCKS = ("requirements.lock", "requirements-dev.lock")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns], cwd=ROOT, capture_output=True, check=True
    )
    names = [name for name in listed.stdout.decode().split("\0") if name]
    return [ROOT / name for name in names if (ROOT / name).exists()]


def lines_with(pattern: str, files: list[Path]) -> list[str]:
    found = re.compile(pattern)
    return [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for file in files
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if found.search(line)
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_generic_package_name_is_ours_and_nobody_elses(package: str) -> None:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin == str(ROOT / package / "__init__.py")
    owners = importlib.metadata.packages_distributions().get(package, [])
    assert set(owners) <= {"tallystick"}


def test_the_distribution_can_not_be_uploaded_by_mistake() -> None:
    assert "Private :: Do Not Upload" in PROJECT["classifiers"]


def imported(*folders: str) -> set[tuple[str, str]]:
    """What the folders import that is not the standard library's: top-level name, file."""
    found = {
        (name.partition(".")[0], str(file.relative_to(ROOT)))
        for file in tracked(*(f"{folder}/*.py" for folder in folders))
        for node in ast.walk(ast.parse(file.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    return {(name, file) for name, file in found if name not in sys.stdlib_module_names}


def test_the_domain_imports_the_standard_library_and_eventsourcing_alone() -> None:
    allowed = {"eventsourcing", "domain"}
    assert {(name, file) for name, file in imported("domain") if name not in allowed} == set()


def test_what_is_imported_is_asked_for_by_its_name() -> None:
    extras = PROJECT["optional-dependencies"]
    asked = {_name(one) for one in PROJECT["dependencies"] + extras["sonic"]}
    asked.add("psycopg-pool")  # psycopg[pool]
    for_tests = asked | {_name(one) for one in extras["dev"]}
    brought_by = importlib.metadata.packages_distributions()
    for name, file in imported(*PACKAGES, "tests"):
        if name not in (*PACKAGES, "tests"):
            owners = {_name(owner) for owner in brought_by[name]}
            assert owners & (for_tests if file.startswith("tests/") else asked), (name, file)


@pytest.mark.parametrize(
    ("command", "others"),
    [("up", {"fastapi", "kafka"}), ("project", {"fastapi", "kafka"}), ("mirror", {"fastapi"}),
     ("serve", {"kafka"})],
)  # fmt: skip
def test_a_process_loads_nothing_large_that_it_does_not_need(
    command: str, others: set[str]
) -> None:
    script = f"import sys, api.cli.{command}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    assert f"api.cli.{command}" in loaded
    assert not others & set(loaded)


def test_a_file_is_short_enough_to_be_read() -> None:
    long = {
        str(file.relative_to(ROOT)): count
        for file in tracked("*.py")
        if (count := len(file.read_text().splitlines())) > 400
    }
    assert long == {}


def test_the_drawn_trees_of_errors_show_all_there_are() -> None:
    def drawn(module: ModuleType) -> set[str]:
        tree = [line for line in (module.__doc__ or "").splitlines() if re.search("[├└]", line)]
        return set(re.findall(r"\b[A-Z][A-Za-z]+\b", " ".join(tree)))

    of_starts = lines_with(
        r"^class \w+\(CannotStart\)", tracked(*(f"{name}/*.py" for name in PACKAGES))
    )
    assert drawn(cannot_start) == {re.findall(r"class (\w+)", line)[0] for line in of_starts}
    of_refusals = lines_with(r"^class \w+\(\w+\)", [ROOT / "domain/refusals.py"])
    kinds = {re.findall(r"class (\w+)", line)[0] for line in of_refusals}
    assert drawn(refusals) == kinds - {"Refusal"}


def test_no_file_or_folder_has_a_name_that_says_nothing() -> None:
    banned = {"utils", "helpers", "common", "base", "manager", "service"}
    parts = {part for file in tracked() for part in (*file.relative_to(ROOT).parts, file.stem)}
    assert parts & banned == set()
    classes = r"^\s*class \w*(Utils?|Helpers?|Manager|Service)\b"
    assert lines_with(classes, tracked("*.py")) == []


def test_nothing_is_left_undone() -> None:
    words = "|".join(("TO" + "DO", "FIX" + "ME", "xf" + "ail"))
    assert lines_with(rf"\b({words})\b", tracked("*.py", "*.sql", "*.md", "*.toml")) == []
    assert lines_with("NotImplementedError", tracked(*(f"{name}/*.py" for name in PACKAGES))) == []


def test_nothing_names_a_path_of_the_machine_it_was_written_on() -> None:
    text = [file for file in tracked() if file.suffix not in {".bin", ".png", ".lock"}]
    homes = "|".join(("wo" + "rk", "fa" + "rm", "ro" + "ot", "ho" + "me"))
    assert lines_with(rf"(^|[^\w.$}}/-])/({homes})/", text) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_every_package_to_its_hashes_and_names_no_index(lock: str) -> None:
    text = (ROOT / lock).read_text()
    requirements = re.split(r"\n(?=\S)", text.strip())
    assert [r for r in requirements if "==" not in r or "--hash=sha256:" not in r] == []
    assert lines_with(r"://|--index|--extra-index|--find-links|@ |file:|^#", [ROOT / lock]) == []


def test_the_locks_agree_and_cover_what_pyproject_asks_for() -> None:
    runtime, dev = (
        dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))
        for lock in LOCKS
    )
    assert runtime.items() <= dev.items()
    extras = PROJECT["optional-dependencies"]
    assert {
        _name(asked) for asked in PROJECT["dependencies"] + extras["build"] + extras["sonic"]
    } <= runtime.keys()
    assert {_name(asked) for asked in extras["dev"]} - {"tallystick"} <= dev.keys()


def _name(requirement: str) -> str:
    matched = re.match(r"[\w.-]+", requirement)
    assert matched
    return matched[0].lower().replace("_", "-")


def test_currencies_their_exponents_and_numbers_are_those_of_iso_4217() -> None:
    published = [currency for currency in iso4217.Currency if currency.exponent is not None]
    assert {one.code: one.exponent for one in published} == MINOR_UNIT_EXPONENTS
    assert {one.code: f"{one.number:03}" for one in published} == NUMERIC_CODES


def test_nothing_points_to_a_page_that_is_not_here() -> None:
    pages = {page.name for page in tracked("*.md")}
    mentioned = {
        (name, str(file.relative_to(ROOT)))
        for file in tracked("*.py", "*.sql", "*.toml", "Makefile")
        for name in re.findall(r"\b[\w-]+\.md\b", file.read_text())
    }
    assert {(name, file) for name, file in mentioned if name not in pages} == set()
