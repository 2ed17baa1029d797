"""`tally bench`: how fast it is, and that its books are right."""

import secrets
import statistics
from collections import defaultdict
from typing import Annotated, Any

import psycopg
import typer

from api.cli.benching.jobs import Crew, Job
from api.cli.benching.measuring import Measured, measure
from api.cli.benching.own import Running, own_ledger
from api.cli.benching.pgbench import Pgbench
from api.cli.output import AsJson, CannotRun, out, print_json, table

SCRIPTS = {"single spread": "spread", "single hot": "hot", "bulk": "bulk"}


def bench(
    scenario: Annotated[list[str] | None, typer.Option("--scenario")] = None,
    workers: Annotated[bool, typer.Option("--workers/--no-workers")] = True,
    pgbench: Annotated[bool, typer.Option("--pgbench/--no-pgbench")] = True,
    seconds: Annotated[float, typer.Option(min=0.2)] = 4.0,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    connections: Annotated[int, typer.Option(min=1)] = 64,
    accounts: Annotated[int, typer.Option(min=2)] = 10_000,
    as_json: AsJson = False,
) -> None:
    """Measures, on a ledger of its own that is gone afterwards."""
    names = scenario or list(SCRIPTS)
    found: dict[str, list[Measured]] = defaultdict(list)
    tps: dict[int, list[float]] = defaultdict(list)
    with own_ledger() as own:
        with own.running(own.prepared, workers=True) as running:
            opened = measure(
                _job(running, accounts, "openings", 64, seconds=600), running.processes
            )
            if opened.answers != {"201": accounts + 1}:
                raise CannotRun(f"accounts could not be opened: {dict(opened.answers)}")
        other = Pgbench(own.server, own.owner_dsn(own.database())) if pgbench else None
        store = own.dsn(own.database(like="tally"))
        for _ in range(rounds):
            if other:
                for clients in (8, 32):
                    tps[clients].append(other.rate(clients=clients, seconds=seconds).rate)
            with own.running(store, workers=workers) as running:
                for name in names:
                    end = _end(store)
                    many = 4 if name == "bulk" else connections
                    job = _job(running, accounts, SCRIPTS[name], many, seconds=seconds)
                    measured = measure(job, running.processes)
                    found[name].append(measured)
                    answers = measured.answers
                    if set(answers) != {"201"} or _end(store) - end != 3 * answers["201"]:
                        raise CannotRun(f"{dict(answers)} answers, {_end(store) - end} events")
    t = max(statistics.median(rates) for rates in tps.values()) if tps else None
    result: dict[str, Any] = {
        "T": t,
        "pgbench": {clients: statistics.median(rates) for clients, rates in tps.items()},
        "scenarios": {
            name: {
                "rate": (rate := statistics.median(each.crews[0].rate for each in rounds_)),
                "ratio": rate / t if t else None,
                "p50_ms": statistics.median(each.crews[0].p50_ms for each in rounds_),
                "p99_ms": statistics.median(each.crews[0].p99_ms for each in rounds_),
                "cpu": {
                    part: statistics.median(each.cpu[part] for each in rounds_)
                    for part in rounds_[0].cpu
                },
            }
            for name, rounds_ in found.items()
        },
    }
    if as_json:
        print_json(result)
        return
    numbers = ("rate/s", "of T", "p50, ms", "p99, ms")
    shown = table("scenario", *numbers, "processors", numbers=numbers)
    for name, each in result["scenarios"].items():
        ratio = f"{each['ratio']:.2f}" if t else ""
        cpu = ", ".join(f"{part} {share:.2f}" for part, share in each["cpu"].items())
        shown.add_row(
            name, f"{each['rate']:,.0f}", ratio, f"{each['p50_ms']:.1f}", f"{each['p99_ms']:.1f}",
            cpu,
        )  # fmt: skip
    out.print(shown)
    if t:
        out.print(f"T = {t:,.0f} transactions/s of pgbench", result["pgbench"])


def _job(running: Running, accounts: int, does: str, connections: int, *, seconds: float) -> Job:
    product = running.product
    opens = does == "openings"
    return Job(
        url=product.url,
        key=product.key_of_admin() if opens else product.key,
        run=secrets.token_hex(6),
        prefix="bench:",
        accounts=accounts,
        crews=[Crew(does=does, connections=connections)],
        warm_s=0 if opens else 1.0,
        seconds=seconds,
    )


def _end(dsn: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT coalesce(max(position), 0) FROM tally.events").fetchone()
    assert row
    return int(row[0])
