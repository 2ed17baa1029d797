"""PaySim through the real stack: every balance is what the file says, whoever calculates it."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from api.bench.cpu import used_s
from tests.fixtures.fix_tally import Up, tally

pytestmark = pytest.mark.slow

ROWS = 19_999
MEMORY_MB = 300


def cents(text: str) -> int:
    return int(Decimal(text) * 100)


def expected(file: Path) -> tuple[dict[str, int], int, int]:
    """Posted by account, and how many rows settle and are refused; nothing of ours is used."""
    # Credits less debits; accounts that are debit-normal are turned round at the end.
    posted: dict[str, int] = defaultdict(int)
    settled = refused = 0
    with file.open() as lines:
        for row in csv.DictReader(lines):
            customer = f"customers:{row['nameOrig']}"
            opening, amount = cents(row["oldbalanceOrg"]), cents(row["amount"])
            other = {
                "CASH_IN": "clearing:cash",
                "CASH_OUT": "clearing:cash",
                "DEBIT": "clearing:bank",
                "PAYMENT": f"merchants:{row['nameDest']}",
                "TRANSFER": f"customers:{row['nameDest']}",
            }[row["type"]]
            posted[other] += 0
            if opening:
                posted["clearing:opening"] -= opening
            posted[customer] += opening
            comes_in = row["type"] == "CASH_IN"
            if comes_in or amount <= posted[customer]:
                posted[customer] += amount if comes_in else -amount
                posted[other] += -amount if comes_in else amount
                settled += 1
            else:
                refused += 1
    return (
        {name: -sum_ if name.startswith("clearing:") else sum_ for name, sum_ in posted.items()},
        settled,
        refused,
    )


def balances(up: Up) -> dict[str, int]:
    end = up.get("/v1/status")["end"]
    found: dict[str, int] = {}
    cursor: str | None = ""
    while cursor is not None:
        after = f"&cursor={cursor}" if cursor else ""
        page = up.get(f"/v1/balances?limit=500&min_position={end}{after}")
        found |= {item["account"]: item["posted"] for item in page["items"]}
        cursor = page["next_cursor"]
    return found


def peak_mb(pid: int) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1000


@pytest.mark.timeout(600)
def test_every_balance_is_what_the_file_says(
    start_up: Callable[..., Up],
    paysim: Path,
    tmp_path: Path,
    scaled: Callable[..., int],
    figure: Callable[[str, object], None],
) -> None:
    rows = min(scaled(ROWS), ROWS)
    file = tmp_path / "paysim.csv"
    file.write_text("".join(paysim.read_text().splitlines(keepends=True)[: rows + 1]))
    posted, settled, refused = expected(file)
    up = start_up()
    arguments = ("import", str(file), "--format", "paysim", "--json", "--data", str(up.data))

    first: dict[str, Any] = tally(*arguments, within_s=500).json
    seconds = first.pop("seconds")
    figure(f"PaySim, {rows:,} rows: import, s", seconds)
    outcome = {"rows": rows, "settled": settled, "refused": {"insufficient_funds": refused}}
    assert first == outcome | {"replayed": 0}
    if rows == ROWS:
        assert (settled, refused) == (10_973, 9_026)
    for name, pid in up.parts.items():
        figure(f"PaySim, {rows:,} rows: {name}, CPU s", used_s(pid))
        figure(f"PaySim, {rows:,} rows: {name}, peak MB", peak_mb(pid))
        assert peak_mb(pid) < MEMORY_MB

    assert balances(up) == posted
    assert tally("reconcile", "--data", str(up.data), within_s=300).code == 0

    end = up.get("/v1/status")["end"]
    second: dict[str, Any] = tally(*arguments, within_s=500).json
    del second["seconds"]
    assert second == {"rows": rows, "settled": 0, "refused": {}, "replayed": rows}
    assert up.get("/v1/status")["end"] == end
