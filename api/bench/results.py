"""What a benchmark found: as it is written to a file, compared with another, and shown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from rich.table import Table

from api.bench.books import Proof
from api.bench.cpu import OTHERS
from api.bench.jobs import Done
from api.bench.measuring import Measured
from api.bench.scenarios import Case, Setup
from api.cli.output import CannotRun, table

_QUIET: Final = 0.2
"""Processors that others may keep busy before it is told."""
_WORKERS: Final = "workers"
_LOAD: Final = "load"
_POSTGRES: Final = "postgres"
_API: Final = "serve"
_WRITER: Final = "writer"
_PARTS: Final = (_API, _WRITER, _WORKERS, _POSTGRES, _LOAD)


class Row(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One kind of work in one scenario; figures are medians of the rounds."""

    scenario: str
    setup: str
    does: str
    connections: int
    rate: float
    """Commands or reads a second; events a second of `replay` and `rebuild`."""
    rates: list[float]
    """Of each round."""
    ratio: float | None = None
    """Of T."""
    p50_ms: float | None = None
    p99_ms: float | None = None
    p999_ms: float | None = None
    longest_ms: float | None = None
    behind_s: float | None = None
    """How long the read models took for the rest after the load had ended."""
    lag_p50_ms: float | None = None
    lag_p99_ms: float | None = None
    """From when an event can be seen in the store until all read models have it."""
    cpu: dict[str, float] = {}
    """Processors that each process kept busy, on average."""

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What has the same in two results can be compared."""
        return self.scenario, self.setup, self.does, self.connections

    def parts_with(self, other: Row) -> bool:
        """Whether both are of one scenario in which several things are done at once."""
        return self.scenario == other.scenario and self.does != other.does


class Takes(msgspec.Struct, kw_only=True):
    """What a store takes, and the product on it."""

    start_s: float
    """Until a command is answered; the median of the rounds."""
    memory_mb: dict[str, float]
    """By process, when all was measured."""
    event_bytes: float
    """Of an event on disk, with its indexes."""

    @property
    def api_mb(self) -> float:
        """What takes commands and what decides them have in memory."""
        parts = by_part(self.memory_mb)
        return (parts[_API] or 0) + (parts[_WRITER] or 0)


class Results(msgspec.Struct, kw_only=True):
    """`tally bench --out FILE`; rates are per second."""

    version: str
    at: str
    machine: dict[str, str | int]
    seconds: float
    rounds: int
    accounts: int
    events: int
    """That the store held before."""
    pgbench: dict[str, float]
    """Transactions/s by number of clients; the median."""
    T: float | None
    """The better of them: what everything is a ratio of."""
    rows: list[Row]
    takes: dict[str, Takes]
    books: dict[str, Proof]
    """Both by setup."""

    @property
    def good(self) -> bool:
        return all(proof.good for proof in self.books.values())


def rows_of(case: Case, rounds: Sequence[Measured], reference: float | None) -> list[Row]:
    return [
        _row(case, number, [each.crews[number] for each in rounds], rounds, reference)
        for number in range(len(case.crews))
    ]


def _row(
    case: Case,
    number: int,
    crews: Sequence[Done],
    rounds: Sequence[Measured],
    reference: float | None,
) -> Row:
    crew, rates = case.crews[number], [each.rate for each in crews]
    rate = statistics.median(rates)
    return Row(
        scenario=case.scenario,
        setup=case.setup.value,
        does=crew.does,
        connections=crew.connections,
        rate=rate,
        rates=rates,
        # How much is asked of an open loop says nothing of the machine.
        ratio=rate / reference if reference and not crew.a_second else None,
        p50_ms=_median(each.p50_ms for each in crews),
        p99_ms=_median(each.p99_ms for each in crews),
        p999_ms=_median(each.p999_ms for each in crews),
        longest_ms=max((each.longest_ms for each in crews if each.longest_ms), default=None),
        behind_s=_median(each.behind_s for each in rounds),
        lag_p50_ms=_median(each.lag_ms and each.lag_ms[0] for each in rounds),
        lag_p99_ms=_median(each.lag_ms and each.lag_ms[1] for each in rounds),
        cpu={name: statistics.median(r.cpu[name] for r in rounds) for name in rounds[0].cpu},
    )


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def read_results(file: Path) -> Results:
    """Of an earlier `--out`. Raises CannotRun."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Results)
    except OSError as error:
        raise CannotRun(f"{file} can't be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise CannotRun(f"{file} is no result of `tally bench --out`: {error}") from error


def write_results(results: Results, file: Path) -> None:
    """Raises CannotRun."""
    try:
        file.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")
    except OSError as error:
        raise CannotRun(f"{file} can't be written: {error.strerror}") from error


def fallen(now: Results, before: Results, tolerance: float) -> list[str]:
    """What has fallen by more than that share, by ratios of T: machines differ, and days."""
    was = {row.key: row.ratio for row in before.rows}
    found = []
    for row in now.rows:
        ratio = was.get(row.key)
        if ratio and row.ratio is not None and row.ratio < ratio * (1 - tolerance):
            found.append(f"{', '.join(map(str, row.key))}: {row.ratio:.2f} T, was {ratio:.2f} T")
    return found


def tables(results: Results) -> Iterator[Table]:
    """One for each setup."""
    numbers = ("", "rate/s", "of T", "p50", "p99", *_PARTS)
    for setup in dict.fromkeys(row.setup for row in results.rows):
        title = f"{setup}: connections, times in ms, processors that each part kept busy"
        made = table("scenario", *numbers, numbers=numbers, title=title)
        rows = [row for row in results.rows if row.setup == setup]
        for row in rows:
            several = any(other.parts_with(row) for other in rows)
            made.add_row(
                f"{row.scenario}: {row.does}" if several else row.scenario,
                str(row.connections or ""),
                f"{row.rate:,.0f}",
                _told(row.ratio, 2),
                _told(row.p50_ms, 1),
                _told(row.p99_ms, 1),
                *(_told(share, 2) for share in by_part(row.cpu).values()),
            )
        yield made


def by_part(figures: Mapping[str, float]) -> dict[str, float | None]:
    """In few columns: the API and workers may be several processes, and the load is ours with its
    helper."""
    found: dict[str, float | None] = dict.fromkeys(_PARTS)
    for name, figure in figures.items():
        part = name if name in _PARTS else _LOAD if name == "bench" else _WORKERS
        if name.startswith(f"{_API}-"):
            part = _API
        if name != OTHERS:
            found[part] = (found[part] or 0) + figure
    return found


def _told(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def comparisons(results: Results) -> list[str]:
    """In words: what group commit brings, and what the read models lag behind."""
    rows = {row.key: row for row in results.rows}
    found = []
    for (scenario, setup, does, connections), row in rows.items():
        other = rows.get((scenario, Setup.ONE_COMMIT.value, does, connections))
        if other and setup == Setup.ALONE.value:
            found.append(
                f"{scenario}, {connections} connections: {row.rate / other.rate:.1f} times the "
                f"rate of one commit a command; p50 {_told(row.p50_ms, 1)} ms against "
                f"{_told(other.p50_ms, 1)} ms"
            )
        if row.lag_p99_ms is not None:
            found.append(
                f"{scenario}, {row.rate:,.0f} payments/s: in all read models after "
                f"{_told(row.lag_p50_ms, 1)} ms (p50), {_told(row.lag_p99_ms, 1)} ms (p99)"
            )
    disturbed = [row.cpu.get(OTHERS, 0) for row in results.rows]
    if max(disturbed, default=0) > _QUIET:
        found.append(
            f"others kept up to {max(disturbed):.1f} processors busy meanwhile (a median of "
            f"{statistics.median(disturbed):.1f}): measure again where it is quiet"
        )
    behind = [row for row in results.rows if row.behind_s is not None]
    if behind:
        worst = max(behind, key=lambda row: row.behind_s or 0)
        found.append(
            f"read models had the rest {worst.behind_s:.2f} s after a load's end at most "
            f"({worst.scenario})"
        )
    return found
