"""`tally status`: how far the running product and its projections are."""

import asyncio
from typing import Any

from api.cli.client import connected
from api.cli.output import AsJson, answer_is_no, out, print_json, table
from api.cli.product import DataOption, Product, Url, find_product
from api.cli.standings import mirror_refusal, standings
from api.cli.store import connect, opened_store
from infrastructure.settings import Settings


def status(data: DataOption = None, url: Url = None, as_json: AsJson = False) -> None:
    """Shows the end of the store, each read model's position and the mirror's; 1 where one has
    halted.

    What halted it is in the store, so it is not told with --url; nor is whether scheduled payments
    and expired holds wait, as they do where the payments read model is halted or missing.
    """
    found = asyncio.run(_status(find_product(data, url)))
    if url is None:
        with opened_store(Settings.load(data=data)) as dsn, connect(dsn) as conn:
            for standing in standings(conn):
                found["projections"][standing.name]["halted"] = standing.halted
                if standing.name == "payments":
                    found["executions_wait"] = not standing.follows
            if found["mirror"] is not None:
                found["mirror"]["halted"] = mirror_refusal(conn)
    if as_json:
        print_json(found)
    else:
        _show(found)
    if any(each.get("halted") for each in (*found["projections"].values(), found["mirror"] or {})):
        raise answer_is_no()


async def _status(product: Product) -> Any:
    async with connected(product) as client:
        return await client.get("/v1/status")


def _show(found: dict[str, Any]) -> None:
    numbers = ("position", "lag", "lag, s")
    shown = table("", *numbers, " ", numbers=numbers)
    rows = sorted(found["projections"].items())
    if found["mirror"] is not None:
        rows.append(("mirror", found["mirror"]))
    for name, standing in rows:
        halted = standing.get("halted")
        shown.add_row(
            name,
            f"{standing['position']:,}",
            f"{standing['lag']:,}",
            f"{standing['lag_s']:,.3f}",
            f"[red]halted at {halted}[/red]" if halted else "",
        )
    out.print(f"The store ends at position {found['end']:,}.")
    out.print(shown)
    if found.get("executions_wait"):
        out.print(
            "[red]Executions wait[/red]: scheduled payments and expired holds are found in the"
            " payments read model, which is halted or missing."
        )
