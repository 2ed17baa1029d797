"""docs/performance.md is made from results that are kept beside it, and says what they say."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest

from api.bench.report import BEGINS, FOLDER, files, kept, main, page_with
from api.bench.results import Results, read_results

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "performance.md").read_text()


@pytest.fixture
def results() -> Results:
    return kept(DOCS)[0]


def test_the_page_and_its_charts_are_those_of_the_results_beside_it() -> None:
    results = kept(DOCS)
    assert page_with(PAGE, results) == PAGE, "run: make bench-report"
    drawn = {file.name: file.read_text() for file in (DOCS / FOLDER).glob("*.svg")}
    assert drawn == files(results), "run: make bench-report"


def test_the_results_shown_are_good(results: Results) -> None:
    assert results.books
    assert results.good


def test_every_chart_is_a_picture_and_is_shown(results: Results) -> None:
    for name, chart in files([results]).items():
        assert ET.fromstring(chart).tag.endswith("svg")
        assert "nan" not in chart
        assert f"({FOLDER}/{name})" in page_with(PAGE, [results])


def test_a_bar_is_as_long_as_its_value_says(results: Results) -> None:
    chart = files([results])["rates.svg"]
    widths = [float(width) for width in re.findall(r'rect x="330" .*? width="([\d.]+)"', chart)]
    ratios = [
        row.ratio
        for row in results.rows
        if row.ratio and row.connections and row.scenario != "ladder"
    ]
    assert len(widths) == len(ratios)
    for width, ratio in zip(widths, ratios, strict=True):
        assert width / max(widths) == pytest.approx(ratio / max(ratios), abs=0.001)


def points(chart: str) -> int:
    return chart.count("<circle")


def test_results_with_other_numbers_are_compared(results: Results) -> None:
    first = msgspec.structs.replace(results, accounts=10_000, events=0)
    full = msgspec.structs.replace(first, events=8_000_000)
    many = msgspec.structs.replace(full, accounts=1_000_000)
    made = files([first, full, many])
    assert "1,000,000" in made["accounts.svg"]
    assert "10,000" in made["accounts.svg"]
    assert "10,000,000" in made["events.svg"]
    setups = {row.setup for row in results.rows if row.scenario == "single spread"}
    assert points(made["accounts.svg"]) == 2 * len(setups)
    assert points(made["events.svg"]) == 3 * len(setups)
    assert not {"accounts.svg", "events.svg"} & files([results]).keys()


def test_how_it_grows_is_a_table(results: Results) -> None:
    many = msgspec.structs.replace(results, accounts=1_000_000, events=8_000_000)
    many.takes = {
        name: msgspec.structs.replace(takes, start_s=3.21) for name, takes in results.takes.items()
    }
    page = page_with(PAGE, [many, results])
    told = [line for line in page.splitlines() if line.startswith("| 1,000,000 | 10,000,000 | ")]
    assert len(told) == 1
    assert " | 3.2 | " in told[0]
    before = f"| {results.accounts:,} | {results.events + 2 * results.accounts:,} | "
    assert page.index(before) < page.index(told[0])
    assert before not in page_with(PAGE, [results])


def test_what_was_not_measured_has_no_chart(results: Results) -> None:
    alone = [row for row in results.rows if row.setup == "write path alone"]
    bulks = [row for row in alone if row.scenario == "bulk"]
    for rows, charts in (
        (alone, {"rates.svg", "connections.svg"}),
        (bulks, {"rates.svg"}),
        ([], set()),
    ):
        some = msgspec.structs.replace(results, rows=rows)
        assert set(files([some])) == charts
        page = page_with(PAGE, [some])
        assert all((f"{FOLDER}/{name}" in page) == (name in charts) for name in files([results]))


def test_a_report_replaces_the_one_before(results: Results, tmp_path: Path) -> None:
    shutil.copytree(DOCS / FOLDER, tmp_path / FOLDER)
    (tmp_path / FOLDER / "old.svg").write_text("of another version")
    (tmp_path / "performance.md").write_text(PAGE)
    source = tmp_path / FOLDER / "results-1.json"
    main(tmp_path, [source, source])
    folder = {file.name for file in (tmp_path / FOLDER).iterdir()}
    assert folder == {*files([results, results]), "results-1.json", "results-2.json"}
    assert read_results(tmp_path / FOLDER / "results-2.json") == results
    page = (tmp_path / "performance.md").read_text()
    assert page.partition(BEGINS)[0] == PAGE.partition(BEGINS)[0]
    assert "accounts.svg" in page
