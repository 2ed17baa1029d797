"""`tally status`: how far the running product and its projections are."""

import asyncio
from typing import Any

from api.cli.client import connected
from api.cli.output import AsJson, answer_is_no, out, print_json, table
from api.cli.product import DEFAULT_DATA, DataOption, Product, Url, find_product


def status(data: DataOption = DEFAULT_DATA, url: Url = None, as_json: AsJson = False) -> None:
    """Shows the end of the store and each projection's position; 1 where one has halted."""
    found = asyncio.run(_status(find_product(data, url)))
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
    shown = table(
        "projection", "position", "lag", "lag, s", "", numbers=("position", "lag", "lag, s")
    )
    for name, projection in sorted(found["projections"].items()):
        halted = projection.get("halted")
        shown.add_row(
            name,
            f"{projection['position']:,}",
            f"{projection['lag']:,}",
            f"{projection['lag_s'] or 0:,.3f}",
            f"[red]halted: {halted}[/red]" if halted else "",
        )
    out.print(f"The store ends at position {found['end']:,}.")
    out.print(shown)
