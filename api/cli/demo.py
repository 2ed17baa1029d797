"""`tally demo`: a day in a small town, and what a person wants to see of it."""

import secrets
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import uvloop
from rich.panel import Panel

from api.cli.client import Client, connected
from api.cli.evening import pay_by_phone
from api.cli.folder import scratch
from api.cli.importing.sending import Outcome, Sender
from api.cli.itself import PROGRAM, environment
from api.cli.output import AsJson, CannotRun, answer_is_no, err, out, print_json, table
from api.cli.product import DataOption, Product, Url, find_product
from api.cli.town import CURRENCY, Town
from domain.money import decimal_text

_CONNECTIONS: Final = 32
_STOP_S: Final = 60


def demo(
    seed: Annotated[int, typer.Option(help="The same seed makes the same day.")] = 1,
    people: Annotated[int, typer.Option(min=3, max=1000)] = 24,
    purchases: Annotated[int, typer.Option(min=1, max=1_000_000)] = 2000,
    scratch: Annotated[
        bool, typer.Option("--scratch", help="On a ledger of its own, gone afterwards.")
    ] = False,
    data: DataOption = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Runs a synthetic day of payments through the API and shows what came of it."""
    town = Town(
        run=secrets.token_hex(4),
        seed=seed,
        people=people,
        purchases=purchases,
        today=datetime.now(UTC).date(),
    )
    with (
        _scratch_product() if scratch else nullcontext(data) as folder,
        err.status("a day goes by …"),
    ):
        day = uvloop.run(_live(town, find_product(folder, None if scratch else url)))
    if as_json:
        print_json(day)
    else:
        _show(day)
    if not day["balanced"]:
        raise answer_is_no()


async def _live(town: Town, product: Product) -> dict[str, Any]:
    async with connected(product, connections=_CONNECTIONS) as client:
        await _send(client, town.accounts())
        started = time.monotonic()
        morning = await _send(client, town.morning())
        frozen = await client.send(
            f"/v1/accounts/{town.frozen}/freeze",
            f"demo-{town.run}-freeze",
            b'{"reason":"card reported stolen"}',
            as_admin=True,
        )
        if not frozen.ok:
            raise CannotRun(f"an account could not be frozen: {frozen.status} {frozen.code}")
        day = await _send(client, town.day())
        sent = time.monotonic() - started
        evening = await pay_by_phone(client, town.evening())
        parts = (morning, day, evening)
        return {
            "payments": sum(part.rows for part in parts),
            "settled": sum(part.settled for part in parts),
            "refused": dict(sorted(sum((part.refused for part in parts), Counter()).items())),
            "in_bulk": _pace(morning.rows + day.rows, sent),
            "by_phone": _pace(evening.rows, time.monotonic() - started - sent),
            **await _read(client, town),
        }


def _pace(payments: int, seconds: float) -> dict[str, Any]:
    return {
        "payments": payments,
        "seconds": round(seconds, 3),
        "rate": round(payments / seconds),
    }


async def _send(client: Client, rows: Iterator[Any]) -> Outcome:
    sender = Sender(client)
    await sender.send(rows, _CONNECTIONS)
    if sender.outcome.undecided:
        raise CannotRun(f"the product refused the demo itself: {dict(sender.outcome.refused)}")
    return sender.outcome


async def _read(client: Client, town: Town) -> dict[str, Any]:
    """Balances, carriers, one statement and the trial balance, all after everything was paid."""
    end = (await client.get("/v1/status"))["end"]
    at = f"min_position={end}"
    balances: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        after = f"&cursor={cursor}" if cursor else ""
        page = await client.get(f"/v1/balances?prefix={town.prefix}&limit=500&{at}{after}")
        balances += page["items"]
        cursor = page["next_cursor"]
    until = town.today + timedelta(days=2)  # midnight may have come meanwhile
    statement = await client.get(
        f"/v1/accounts/{town.person(0)}/statement?from={town.today}&to={until}&limit=12&{at}"
    )
    carriers = await client.get(f"/v1/reports/carriers?from={town.today}&to={until}&{at}")
    trial = await client.get(f"/v1/trial-balance?{at}")
    return {
        "position": trial["position"],
        "balanced": trial["balanced"],
        "trial_balance": trial["currencies"],
        "balances": {
            item["account"].removeprefix(town.prefix): item["posted"] for item in balances
        },
        "carriers": carriers["items"],
        "statement": statement,
    }


@contextmanager
def _scratch_product() -> Iterator[Path]:
    """A product on a folder of its own, as long as the block runs."""
    with scratch("demo") as data:
        up = subprocess.Popen(  # noqa: S603 (ourselves)
            [*PROGRAM, "up", "--json", "--port", "0", "--data", str(data)],
            stdout=subprocess.PIPE,
            env=environment(),
        )
        try:
            assert up.stdout is not None
            if not up.stdout.readline():
                raise CannotRun("a ledger for the demo could not be started")
            yield data
        finally:
            up.terminate()
            up.communicate(timeout=_STOP_S)


def _show(day: dict[str, Any]) -> None:
    in_bulk, by_phone = day["in_bulk"], day["by_phone"]
    out.print(
        Panel.fit(
            f"{in_bulk['payments']:,} payments in bulk in {in_bulk['seconds']:.1f} s: "
            f"[bold]{in_bulk['rate']:,} a second[/bold]\n"
            f"{by_phone['payments']:,} by phone, code or order first, in "
            f"{by_phone['seconds']:.1f} s; {day['settled']:,} of all settled",
            title="A day in a small town",
        )
    )
    richest = sorted(day["balances"].items(), key=lambda item: -abs(item[1]))[:12]
    balances = table("account", CURRENCY, numbers=(CURRENCY,), title="Who has most")
    for account, posted in richest:
        balances.add_row(account, _money(posted))
    refusals = table("code", "times", numbers=("times",), title="Refused")
    for code, times in day["refused"].items():
        refusals.add_row(code, f"{times:,}")
    numbers = ("payments", CURRENCY)
    carriers = table("carrier", *numbers, numbers=numbers, title="How it came, whole ledger")
    for item in day["carriers"]:
        if item["currency"] == CURRENCY:
            carriers.add_row(item["carrier"], f"{item['payments']:,}", _money(item["amount"]))
    for shown in (balances, refusals, carriers, _statement(day["statement"])):
        out.print()
        out.print(shown)
    for currency in day["trial_balance"]:
        debit, credit = currency["total_debits"], currency["total_credits"]
        out.print(
            f"\nTrial balance of the whole ledger, {currency['currency']}: debits {_money(debit)}, "
            f"credits {_money(credit)}, difference [bold]{_money(debit - credit)}[/bold]"
        )


def _statement(statement: dict[str, Any]) -> Any:
    numbers = ("debit", "credit", "balance")
    shown = table(
        "booked", "value date", "reference", "with", *numbers, numbers=numbers,
        title=f"Statement of {statement['account']}",
    )  # fmt: skip
    shown.add_row("", "", "opening", "", "", "", _money(statement["opening_balance"]))
    for entry in statement["entries"]:
        amount = _money(entry["amount"])
        sides = (amount, "") if entry["side"] == "debit" else ("", amount)
        counter = ", ".join(name.split(":", 2)[-1] for name in entry["counter_accounts"])
        shown.add_row(
            entry["booking_date"], entry["value_date"], entry["reference"] or "", counter,
            *sides, _money(entry["balance"]),
        )  # fmt: skip
    if statement["next_cursor"]:
        shown.add_row("…")
    shown.add_row("", "", "closing", "", "", "", _money(statement["closing_balance"]))
    return shown


def _money(minor: int) -> str:
    return decimal_text(minor, CURRENCY)
