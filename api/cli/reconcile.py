"""`tally reconcile`: proves events, read models and snapshots against each other."""

from typing import Annotated, Any

import typer

from api.cli.feeds import needs_kafka
from api.cli.output import AsJson, answer_is_no, err, out, print_json, say, table
from api.cli.product import DataOption
from api.cli.progress import progress_bar
from api.cli.store import connect, opened_store
from api.composition.books import reconcile_store
from infrastructure.reconcile import Report
from infrastructure.settings import Settings
from infrastructure.start_checks import check_store


def reconcile(
    data: DataOption = None,
    kafka: Annotated[
        bool, typer.Option("--kafka", help="The mirror in Kafka too, record by record.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Checks the whole ledger with a fold of its own; 1 where something is wrong, named."""
    settings = Settings.load(data=data)
    if kafka:
        needs_kafka(settings)
    with opened_store(settings) as dsn:
        with connect(dsn) as conn:
            check_store(conn, ledger=settings.ledger)
        with progress_bar("") as show:
            report = reconcile_store(settings, dsn=dsn, kafka=kafka, progress=show)
    if as_json:
        print_json(_as_json(report))
    else:
        _show(report)
    if not report.good:
        raise answer_is_no()


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "good": report.good,
        "position": report.end,
        "accounts": report.accounts,
        "payments": report.payments,
        "rows": report.rows,
        "snapshots": report.snapshots,
        "projections": report.positions,
        "topic": report.topic,
        "sums": report.sums,
        "differences": report.differences,
        "unnamed": report.unnamed,
    }


def _show(report: Report) -> None:
    looked_at = table("looked at", "", numbers=("",))
    for name, count in (
        ("events", report.end),
        ("accounts", report.accounts),
        ("payments", report.payments),
        ("rows of read models", report.rows),
        ("snapshots", report.snapshots),
        *((("records of the topic", report.topic),) if report.topic is not None else ()),
    ):
        looked_at.add_row(name, f"{count:,}")
    out.print(looked_at)
    if report.good:
        out.print("[green]All agree.[/green]")
        return
    for difference in report.differences:
        say(difference)
    if report.unnamed:
        say(f"… and {report.unnamed:,} more")
    err.print(f"[red]{len(report.differences) + report.unnamed:,} differences.[/red]")
