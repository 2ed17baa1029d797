"""`tally bench`: how fast it is, and that its books are right afterwards."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from api.bench.results import (
    Results,
    comparisons,
    fallen,
    read_results,
    tables,
    write_results,
)
from api.bench.rounds import Plan, on_own_ledger, on_product
from api.bench.scenarios import SCENARIOS, Setup
from api.cli.output import AsJson, CannotRun, answer_is_no, err, out, print_json, say
from api.cli.product import find_product
from api.cli.progress import steps_bar


def bench(
    scenario: Annotated[
        list[str] | None,
        typer.Option(help=f"May be given several times: {', '.join(SCENARIOS)}.  [default: all]"),
    ] = None,
    workers: Annotated[
        bool,
        typer.Option(
            "--workers/--no-workers", help="With projections too, or the write path alone."
        ),
    ] = True,
    one_commit: Annotated[
        bool,
        typer.Option(
            "--one-commit/--no-one-commit", help="Beside it, the same without group commit."
        ),
    ] = True,
    pgbench: Annotated[
        bool,
        typer.Option(
            "--pgbench/--no-pgbench", help="Beside it, pgbench's TPC-B on the same server."
        ),
    ] = True,
    seconds: Annotated[float, typer.Option(min=0.2, help="Of each measurement.")] = 2.0,
    rounds: Annotated[int, typer.Option(min=1, help="Their median is told.")] = 3,
    connections: Annotated[int, typer.Option(min=1, max=1000)] = 64,
    accounts: Annotated[int, typer.Option(min=2, max=1_000_000)] = 10_000,
    events: Annotated[
        int,
        typer.Option(
            min=0,
            max=100_000_000,
            help="Of payments that its own store holds before. A million takes minutes.",
        ),
    ] = 0,
    out_file: Annotated[
        Path | None,
        typer.Option("--out", dir_okay=False, help="Writes the results there, as JSON."),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False, help="Results of an earlier --out: 1 where a ratio has fallen."
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, max=1, help="By how much of itself a ratio may fall.")
    ] = 0.2,
    url: Annotated[
        str | None,
        typer.Option(
            help="A product that nobody else uses, with TALLY_KEY and TALLY_ADMIN_KEY, in place of "
            "one of its own that is gone afterwards. Its payments stay."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measures, and proves the books: 1 where they are wrong or a ratio has fallen."""
    before = read_results(baseline) if baseline else None
    setups = [Setup.ALONE]
    setups += [Setup.ONE_COMMIT] if one_commit else []
    setups += [Setup.WORKERS] if workers else []
    plan = Plan(
        scenarios=_known(scenario or SCENARIOS),
        setups=setups if url is None else [Setup.GIVEN],
        pgbench=pgbench and url is None,
        seconds=seconds,
        rounds=rounds,
        connections=connections,
        accounts=accounts,
        events=events,
    )
    with steps_bar(plan.steps) as step:
        if url is None:
            results = on_own_ledger(plan, step)
        else:
            results = on_product(plan, find_product(None, url), step)
    if out_file:
        write_results(results, out_file)
    lower = fallen(results, before, tolerance) if before else []
    if as_json:
        print_json({**msgspec.to_builtins(results), "good": results.good, "fallen": lower})
    else:
        _show(results, lower)
    if not results.good or lower:
        raise answer_is_no()


def _known(scenarios: Sequence[str]) -> Sequence[str]:
    for name in scenarios:
        if name not in SCENARIOS:
            raise CannotRun(f"no scenario is called {name}: there are {', '.join(SCENARIOS)}")
    return scenarios


def _show(results: Results, lower: list[str]) -> None:
    for each in tables(results):
        out.print(each, "")
    if results.T:
        rates = ", ".join(f"{rate:,.0f} with {n} clients" for n, rate in results.pgbench.items())
        out.print(f"T = {results.T:,.0f}/s: pgbench makes {rates}.")
    for line in comparisons(results):
        out.print(line)
    for name, proof in results.books.items():
        if proof.good:
            out.print(f"[green]{name}: books right[/green], {proof.committed:,} events as answered")
            continue
        err.print(f"[red]{name}: books wrong[/red]")
        say(f"{proof.answered:,} events by the answers, {proof.committed:,} committed")
        for what in (*proof.differences, *proof.other_answers.items(), *proof.sums.items()):
            say(f"  {what}")
    for line in lower:
        err.print("[red]fallen[/red]", line)
