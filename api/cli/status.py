"""`tally status`: how far the running product and its projections are."""

import asyncio
from typing import Any

from api.cli.client import connected
from api.cli.output import AsJson, answer_is_no, out, print_json, table
from api.cli.product import DataOption, Product, Url, find_product
from api.cli.standings import standings
from api.cli.store import connect, opened_store
from infrastructure.settings import Settings


def status(data: DataOption = None, url: Url = None, as_json: AsJson = False) -> None:
    """Shows the end of the store and each read model's position; 1 where one has halted.

    What halted a read model is in the store, so it is not told with --url.
    """
    found = asyncio.run(_status(find_product(data, url)))
    if url is None:
        with opened_store(Settings.load(data=data)) as dsn, connect(dsn) as conn:
            for standing in standings(conn):
                found["projections"][standing.name]["halted"] = standing.halted
    if as_json:
        print_json(found)
    else:
        _show(found)
    if any(projection.get("halted") for projection in found["projections"].values()):
        raise answer_is_no()


async def _status(product: Product) -> Any:
    async with connected(product) as client:
        return await client.get("/v1/status")


def _show(found: dict[str, Any]) -> None:
    numbers = ("position", "lag", "lag, s")
    shown = table("read model", *numbers, "", numbers=numbers)
    for name, projection in sorted(found["projections"].items()):
        halted = projection.get("halted")
        shown.add_row(
            name,
            f"{projection['position']:,}",
            f"{projection['lag']:,}",
            f"{projection['lag_s']:,.3f}",
            f"[red]halted at {halted}[/red]" if halted else "",
        )
    out.print(f"The store ends at position {found['end']:,}.")
    out.print(shown)
