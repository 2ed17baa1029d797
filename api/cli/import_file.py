"""`tally import`: a file of payments through the public REST; safe to run again."""

import asyncio
import time
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop

from api.cli.client import connected
from api.cli.importing.our_csv import our_rows
from api.cli.importing.paysim import paysim_rows
from api.cli.importing.rows import Malformed, Row
from api.cli.importing.sending import Outcome, Sender
from api.cli.output import AsJson, CannotRun, answer_is_no, out, print_json, say, table
from api.cli.product import DataOption, Product, Url, find_product
from api.cli.progress import progress_bar
from domain.money import is_currency


class Format(StrEnum):
    CSV = "csv"
    PAYSIM = "paysim"


_READERS: dict[Format, Callable[[Path, str], Iterator[Row]]] = {
    Format.CSV: our_rows,
    Format.PAYSIM: paysim_rows,
}


def import_file(
    file: Annotated[Path, typer.Argument(help="What to import.")],
    format: Annotated[Format, typer.Option(help="csv: docs/import-csv.md.")] = Format.CSV,
    currency: Annotated[str, typer.Option(help="Where the file names none.")] = "EUR",
    concurrency: Annotated[int, typer.Option(min=1, max=1000, help="Requests at a time.")] = 64,
    retry_for: Annotated[
        float, typer.Option(min=0, help="Seconds to go on while the product does not answer.")
    ] = 60,
    data: DataOption = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Imports accounts and payments from a file. Run again, it posts nothing twice."""
    if not is_currency(currency):
        raise CannotRun("--currency is no ISO 4217 code with a minor unit, such as EUR")
    product = find_product(data, url)
    read = partial(_READERS[format], file, currency)
    started = time.monotonic()
    try:
        # Once to check it: nothing is posted of a file with a line that can't be read.
        rows = sum(1 for _ in read())
        outcome = uvloop.run(_send(read(), rows, product, concurrency, retry_for))
    except Malformed as malformed:
        raise CannotRun(f"{file}: {malformed}") from malformed
    except OSError as error:
        raise CannotRun(f"{file} can't be read: {error.strerror or error}") from error
    except KeyboardInterrupt:
        raise CannotRun("interrupted; the same command goes on, and posts nothing twice") from None
    seconds = time.monotonic() - started
    for line in outcome.shown:
        say(line)
    if as_json:
        print_json(_as_json(outcome, seconds))
    else:
        _show(outcome, seconds)
    if outcome.undecided:
        raise answer_is_no()


async def _send(
    rows: Iterator[Row], count: int, product: Product, connections: int, retry_for_s: float
) -> Outcome:
    async with connected(product, connections=connections, retry_for_s=retry_for_s) as client:
        sender = Sender(client)
        shown = asyncio.create_task(_show_progress(sender.outcome, count))
        try:
            await sender.send(rows, connections)
        finally:
            shown.cancel()
            await asyncio.gather(shown, return_exceptions=True)
    return sender.outcome


async def _show_progress(outcome: Outcome, rows: int) -> None:
    with progress_bar("rows") as show:
        while True:
            await asyncio.sleep(0.2)
            show("importing", outcome.rows, rows)


def _as_json(outcome: Outcome, seconds: float) -> dict[str, Any]:
    return {
        "rows": outcome.rows,
        "settled": outcome.settled,
        "refused": dict(sorted(outcome.refused.items())),
        "replayed": outcome.replayed,
        "seconds": round(seconds, 3),
    }


def _show(outcome: Outcome, seconds: float) -> None:
    summary = table("", "rows", numbers=("rows",))
    summary.add_row("settled", f"{outcome.settled:,}")
    for code, count in outcome.refused.most_common():
        summary.add_row(f"refused: {code}", f"{count:,}")
    out.print(summary)
    rate = outcome.rows / seconds if seconds else 0
    out.print(f"{outcome.rows:,} rows in {seconds:,.1f} s, {rate:,.0f} a second.")
    if outcome.rows and outcome.replayed == outcome.rows:
        out.print("Nothing new: an earlier import had decided every row, nothing was posted again.")
    elif outcome.replayed:
        out.print(f"{outcome.replayed:,} of them an earlier import had decided: none posted twice.")
