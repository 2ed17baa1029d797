"""What is compared with a baseline, what is made of rounds, and what is written and read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.bench.jobs import Crew, Done
from api.bench.measuring import Measured
from api.bench.results import Results, Row, fallen, read_results, rows_of, write_results
from api.bench.scenarios import SCENARIOS, Case, Setup, cases
from api.cli.output import CannotRun


def row(**changes: object) -> Row:
    given: dict[str, object] = {
        "scenario": "single hot", "setup": "write path alone", "does": "hot", "connections": 64,
        "rate": 5000.0, "rates": [5000.0], "ratio": 1.25,
    }  # fmt: skip
    return Row(**{**given, **changes})  # type: ignore[arg-type]


def results(*rows: Row) -> Results:
    return Results(
        version="1", at="2026-11-23T09:00:00Z", machine={"processors": 2}, seconds=1, rounds=1,
        accounts=10, events=0, pgbench={"8": 4000.0}, T=4000.0, rows=list(rows), takes={}, books={},
    )  # fmt: skip


def measured(rate: float, p99_ms: float | None = 9.0, serve: float = 0.5) -> Measured:
    crew = Done(
        does="hot", answers={}, rate=rate, requests=1,
        p50_ms=p99_ms, p99_ms=p99_ms, p999_ms=p99_ms, longest_ms=p99_ms,
    )  # fmt: skip
    return Measured([crew], {"serve": serve})


@pytest.mark.parametrize(("ratio", "found"), [(1.25, 0), (2.0, 0), (1.01, 0), (0.99, 1)])
def test_a_ratio_may_fall_by_the_tolerance_and_no_more(ratio: float, found: int) -> None:
    lower = fallen(results(row(ratio=ratio)), results(row()), 0.2)
    assert len(lower) == found
    assert all("single hot" in line and "0.99" in line and "1.25" in line for line in lower)


@pytest.mark.parametrize(
    "changed",
    [{"connections": 8}, {"setup": "with projections"}, {"does": "spread"}, {"ratio": None}],
    ids=str,
)
def test_only_what_was_measured_alike_is_compared(changed: dict[str, object]) -> None:
    assert fallen(results(row(**{"ratio": 0.1, **changed})), results(row()), 0.2) == []


def test_a_row_is_the_median_of_its_rounds() -> None:
    case = Case("single hot", Setup.ALONE, (Crew(does="hot", connections=64),))
    rounds = [measured(100, 1.0, 0.3), measured(900, 7.0, 0.9), measured(200, None, 0.4)]
    (made,) = rows_of(case, rounds, 400.0)
    assert (made.rate, made.ratio, made.rates) == (200, 0.5, [100, 900, 200])
    assert (made.p99_ms, made.longest_ms) == (4.0, 7.0)
    assert made.cpu == {"serve": 0.4}


def test_what_an_open_loop_was_asked_for_is_no_ratio() -> None:
    case = Case("lag", Setup.WORKERS, (Crew(does="hot", connections=64, a_second=1000),))
    assert rows_of(case, [measured(1000)], 400.0)[0].ratio is None


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = results(row(), row(scenario="replay", ratio=None, cpu={"serve": 0.5}))
    write_results(written, tmp_path / "results.json")
    assert read_results(tmp_path / "results.json") == written


@pytest.mark.parametrize("content", [b"", b"[]", b'{"rows": 1}'])
def test_a_file_that_is_no_result_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "results.json"
    with pytest.raises(CannotRun, match=r"results\.json can't be read"):
        read_results(file)
    file.write_bytes(content)
    with pytest.raises(CannotRun, match=r"results\.json is no result"):
        read_results(file)


def test_every_scenario_is_measured_on_something() -> None:
    setups = (Setup.ALONE, Setup.ONE_COMMIT, Setup.WORKERS)
    made = {case.scenario for case in cases(SCENARIOS, setups, 64)}
    assert made | {"replay", "rebuild"} == set(SCENARIOS)


def test_without_workers_nothing_that_reads_is_measured() -> None:
    made = cases(SCENARIOS, (Setup.ALONE,), 64)
    assert {case.scenario for case in made} & {"reads", "mixed", "lag"} == set()
    assert all(case.setup is Setup.ALONE for case in made)


def test_a_product_that_is_given_is_measured_as_it_runs() -> None:
    made = cases(SCENARIOS, (Setup.GIVEN,), 64)
    assert {"single spread", "single hot", "reads", "mixed"} <= {case.scenario for case in made}
    assert not any(case.lag for case in made)
