"""docs/performance.md and its charts, made from results of `tally bench --out`.

`python -m api.bench.report DOCS RESULTS…` (`make bench-report`) keeps the results in
DOCS/performance, draws the charts there and puts the tables into the page; a test holds all of it
to the results that are kept. Further results, with other numbers of accounts or events before, show
how it grows.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from api.bench.charts import Points, bars, lines
from api.bench.filling import EVENTS_AN_OPENING
from api.bench.results import Results, Row, by_part, comparisons, read_results, write_results
from api.bench.scenarios import Setup

BEGINS: Final = "<!-- figures: drawn by `make bench-report` -->\n"
ENDS: Final = "<!-- end of figures -->\n"
FOLDER: Final = "performance"
_LADDER: Final = "ladder"
_SPREAD: Final = "single spread"


def files(results: Sequence[Results]) -> dict[str, str]:
    """The charts by the names of their files, of what was measured; the first results are those
    shown."""
    first = results[0]
    made: dict[str, str] = {}
    ratios = {name: row.ratio for name, row in _named(first) if row.ratio and _is_shown(row)}
    if ratios:
        told = "Commands or reads a second, as a multiple of pgbench's transactions"
        made["rates.svg"] = bars(told, ratios, mark=1.0, mark_name="pgbench")
    by_connections: dict[str, Points] = {setup: _by_connections(first, setup) for setup in Setup}
    if any(by_connections.values()):
        made["connections.svg"] = lines(
            "Single payments a second, by connections",
            {
                **by_connections,
                "pgbench": [(int(clients), rate) for clients, rate in first.pgbench.items()],
            },
            across="connections",
            up="payments/s",
        )
    times = {
        name: [
            (row.connections, value)
            for row in _spread(first, Setup.WORKERS)
            if (value := getattr(row, member)) is not None
        ]
        for name, member in (("p50", "p50_ms"), ("p99", "p99_ms"))
    }
    if any(times.values()):
        told = "How long a single payment takes, with projections"
        made["times.svg"] = lines(told, times, across="connections", up="ms")
    if len(results) > 1:
        told = "Single payments, as a multiple of pgbench's transactions"
        by_accounts: dict[str, Points] = {setup: _by_accounts(results, setup) for setup in Setup}
        by_events: dict[str, Points] = {setup: _by_events(results, setup) for setup in Setup}
        if any(by_accounts.values()):
            made["accounts.svg"] = lines(told, by_accounts, across="accounts", up="of pgbench")
            made["events.svg"] = lines(told, by_events, across="events before", up="of pgbench")
    return made


def page_with(page: str, results: Sequence[Results]) -> str:
    """The page with the tables and charts of these results."""
    before, _, rest = page.partition(BEGINS)
    _, mark, after = rest.partition(ENDS)
    assert mark, "the page has no place for the figures"
    return f"{before}{BEGINS}{''.join(_figures(results))}{ENDS}{after}"


def kept(docs: Path) -> list[Results]:
    """The results that the page shows."""
    return [read_results(file) for file in sorted((docs / FOLDER).glob("results-*.json"))]


def _figures(results: Sequence[Results]) -> Iterator[str]:
    first = results[0]
    machine = ", ".join(f"{name} {value}" for name, value in first.machine.items())
    yield (
        f"Measured on {first.at[:10]} with version {first.version}: {machine}; "
        f"{first.accounts:,} accounts, {first.events:,} events before; medians of measurements of "
        f"{first.seconds:g} s in {first.rounds} round{'s' * (first.rounds > 1)}.\n\n"
    )
    if first.T:
        rates = ", ".join(f"{rate:,.0f} with {n} clients" for n, rate in first.pgbench.items())
        yield f"**T = {first.T:,.0f}/s**: pgbench makes {rates}.\n\n"
    for setup in dict.fromkeys(row.setup for row in first.rows):
        yield (
            f"| {setup} | connections | rate/s | of T | p50, ms | p99 | p99.9 "
            "| serve | writer | workers | postgres | load |\n|---|" + "--:|" * 11 + "\n"
        )
        for name, row in _named(first):
            if row.setup == setup:
                yield _line(name.partition(f", {setup}")[0], row)
        yield "\n"
    yield from (f"- {line}\n" for line in comparisons(first))
    yield "\n"
    if first.takes:
        yield (
            "| | start, s | API and writer in memory, MB | event on disk, bytes |\n"
            "|---|--:|--:|--:|\n"
        )
        for name, takes in first.takes.items():
            yield (
                f"| {name} | {takes.start_s:.1f} | {takes.api_mb:,.0f} "
                f"| {takes.event_bytes:,.0f} |\n"
            )
        yield "\n"
    if len(results) > 1:
        yield from _growth(results)
    for name in files(results):
        yield f"![{name.partition('.')[0]}]({FOLDER}/{name})\n\n"


def _line(name: str, row: Row) -> str:
    cells = [
        name,
        str(row.connections or ""),
        f"{row.rate:,.0f}",
        "" if row.ratio is None else f"{row.ratio:.2f}",
        *("" if ms is None else f"{ms:,.1f}" for ms in (row.p50_ms, row.p99_ms, row.p999_ms)),
        *("" if share is None else f"{share:.2f}" for share in by_part(row.cpu).values()),
    ]
    return f"| {' | '.join(cells)} |\n"


def _named(results: Results) -> Iterator[tuple[str, Row]]:
    """Each row with a name that no other has."""
    for row in results.rows:
        several = any(row.parts_with(other) for other in results.rows)
        does = f": {row.does}" if several else ""
        at = f", {row.connections}" if row.connections else ""
        yield f"{row.scenario}{does}, {row.setup}{at}", row


def _is_shown(row: Row) -> bool:
    """Events a second are something else, and the ladder has a chart of its own."""
    return row.connections > 0 and row.scenario != _LADDER


def _spread(results: Results, setup: str) -> list[Row]:
    return [
        row for row in results.rows if row.setup == setup and row.scenario in (_LADDER, _SPREAD)
    ]


def _by_connections(results: Results, setup: str) -> Points:
    return [(row.connections, row.rate) for row in _spread(results, setup)]


def _by_accounts(results: Sequence[Results], setup: str) -> Points:
    """Of those with as many accounts, that with the fewest events."""
    points = {
        each.accounts: ratio
        for each in sorted(results, key=_events_before, reverse=True)
        if (row := _most_connected(each, setup)) and (ratio := row.ratio)
    }
    return list(points.items())


def _by_events(results: Sequence[Results], setup: str) -> Points:
    return [
        (_events_before(each), ratio)
        for each in results
        if (row := _most_connected(each, setup)) and (ratio := row.ratio)
    ]


def _events_before(results: Results) -> int:
    """Those of payments, and those of accounts opened."""
    return results.events + results.accounts * EVENTS_AN_OPENING


def _most_connected(results: Results, setup: str) -> Row | None:
    """Of single payments, where they were measured."""
    rows = [row for row in results.rows if row.setup == setup and row.scenario == _SPREAD]
    return max(rows, key=lambda row: row.connections, default=None)


def _growth(results: Sequence[Results]) -> Iterator[str]:
    """How the write path alone gets on with more accounts and more events before."""
    yield (
        "| accounts | events before | single payments/s | of T | p50, ms | p99 | start, s "
        "| API and writer in memory, MB | event on disk, bytes |\n|--:" + "|--:" * 8 + "|\n"
    )
    for each in sorted(results, key=_events_before):
        row, takes = _most_connected(each, Setup.ALONE), each.takes.get(Setup.ALONE)
        if row and row.p50_ms is not None and row.p99_ms is not None and takes:
            yield (
                f"| {each.accounts:,} | {_events_before(each):,} "
                f"| {row.rate:,.0f} | {row.ratio or 0:.2f} | {row.p50_ms:,.1f} "
                f"| {row.p99_ms:,.1f} | {takes.start_s:.1f} "
                f"| {takes.api_mb:,.0f} | {takes.event_bytes:,.0f} |\n"
            )
    yield "\n"


def main(docs: Path, sources: Sequence[Path]) -> None:
    results = [read_results(source) for source in sources]
    # Made before anything of the last report goes.
    charts = files(results)
    page = docs / "performance.md"
    text = page_with(page.read_text(), results)
    folder = docs / FOLDER
    folder.mkdir(exist_ok=True)
    for old in (*folder.glob("results-*.json"), *folder.glob("*.svg")):
        old.unlink()
    for number, each in enumerate(results, 1):
        write_results(each, folder / f"results-{number}.json")
    for name, chart in charts.items():
        (folder / name).write_text(chart)
    page.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(source) for source in sys.argv[2:]])
