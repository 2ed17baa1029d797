"""`tally import` into a running product."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.fix_tally import PATIENCE_S, PROGRAM, Up, environment, tally, until

pytestmark = pytest.mark.slow

DAY = """\
type,id,currency,normal_side,overdraft_limit,debit,credit,amount,reference
account,{p}:cash,EUR,debit,unlimited,,,,
account,{p}:alice,EUR,,,,,,
account,{p}:bob,EUR,,,,,,
payment,{p}-1,EUR,,,{p}:cash,{p}:alice,50,paid in
payment,{p}-2,EUR,,,{p}:alice,{p}:bob,10.50,lunch
payment,{p}-3,EUR,,,{p}:alice,{p}:bob,100,a yacht
"""


def imported(product: Up, file: Path, *arguments: str) -> dict[str, Any]:
    ran = tally("import", str(file), "--json", "--data", str(product.data), *arguments)
    assert ran.code == 0, ran.err
    found: dict[str, Any] = ran.json
    assert found.pop("seconds") >= 0
    return found


def posted(product: Up, account: str) -> int:
    end = product.get("/v1/status")["end"]
    return int(product.get(f"/v1/accounts/{account}/balance?min_position={end}")["posted"])


def test_a_file_imported_twice_is_posted_once(product: Up, tmp_path: Path) -> None:
    file = tmp_path / "day.csv"
    file.write_text(DAY.format(p="twice"))
    decided = {"rows": 6, "settled": 2, "refused": {"insufficient_funds": 1}}
    assert imported(product, file) == decided | {"replayed": 0}
    assert posted(product, "twice:alice") == 3950
    assert imported(product, file) == {"rows": 6, "settled": 0, "refused": {}, "replayed": 6}
    assert posted(product, "twice:alice") == 3950
    shown = tally("import", str(file), "--data", str(product.data))
    assert "Nothing new" in shown.out


def test_a_line_that_can_not_be_read_stops_it_before_anything_is_sent(
    product: Up, tmp_path: Path
) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(DAY.format(p="bad") + "payment,bad-4,EUR,,,bad:alice,bad:bob,ten,\n")
    before = product.get("/v1/status")["end"]
    ran = tally("import", str(file), "--json", "--data", str(product.data))
    assert ran.code == 2
    assert "line 8: amount" in ran.err
    assert ran.out == ""
    assert product.get("/v1/status")["end"] == before


def test_an_id_used_for_another_payment_is_told_with_its_line(product: Up, tmp_path: Path) -> None:
    file = tmp_path / "day.csv"
    file.write_text(DAY.format(p="reused"))
    imported(product, file)
    file.write_text(DAY.format(p="reused").replace("10.50", "10.51"))
    ran = tally("import", str(file), "--json", "--data", str(product.data))
    assert ran.code == 1
    assert ran.json["refused"] == {"idempotency_key_reused": 1}
    assert "line 6: idempotency_key_reused" in ran.err
    assert posted(product, "reused:bob") == 1050


def test_an_account_that_is_there_is_left_as_it_is(product: Up, tmp_path: Path) -> None:
    product.post("/v1/accounts", "there", {"id": "there:alice", "currency": "EUR"})
    file = tmp_path / "day.csv"
    file.write_text(DAY.format(p="there"))
    assert imported(product, file)["settled"] == 2


def test_a_key_that_may_not_is_told(product: Up, tmp_path: Path) -> None:
    file = tmp_path / "day.csv"
    file.write_text(DAY.format(p="mayNot"))
    auditor = product.keys["auditor"]
    ran = tally("import", str(file), "--url", product.url, TALLY_KEY=auditor)
    assert ran.code == 2
    assert "TALLY_ADMIN_KEY" in ran.err
    ran = tally(
        "import", str(file), "--url", product.url, TALLY_KEY=auditor, TALLY_ADMIN_KEY=auditor
    )
    assert ran.code == 2
    assert "403" in ran.err


def test_a_product_that_does_not_answer_is_given_up_in_time(tmp_path: Path) -> None:
    file = tmp_path / "day.csv"
    file.write_text(DAY.format(p="gone"))
    ran = tally(
        "import", str(file), "--url", "http://127.0.0.1:1", "--retry-for", "0.5",
        TALLY_KEY="tk_none", TALLY_ADMIN_KEY="tk_none",
    )  # fmt: skip
    assert ran.code == 2
    assert len(ran.err.splitlines()) == 1


def test_it_goes_on_where_the_api_was_killed(start_up: Callable[..., Up], tmp_path: Path) -> None:
    up = start_up()
    file = tmp_path / "many.csv"
    people, payments = 20, 1000
    file.write_text(
        "type,id,currency,overdraft_limit,debit,credit,amount\n"
        "account,cash,EUR,unlimited,,,\n"
        + "".join(f"account,p{number},EUR,,,,\n" for number in range(people))
        + "".join(
            f"payment,pay-{number},EUR,,cash,p{number % people},1\n" for number in range(payments)
        )
    )
    arguments = ("import", str(file), "--json", "--concurrency", "4", "--data", str(up.data))
    with subprocess.Popen(
        [*PROGRAM, *arguments], stdout=subprocess.PIPE, env=environment(), text=True
    ) as importing:
        for goal in (300, 1200, 2100):
            until(lambda goal=goal: end_of(up) > goal or importing.poll() is not None)
            pid = up.parts["serve"]
            os.kill(pid, signal.SIGKILL)
            until(lambda pid=pid: up.parts.get("serve", pid) != pid)
        out, _ = importing.communicate(timeout=PATIENCE_S)
    assert importing.returncode == 0
    assert json.loads(out)["settled"] == payments
    assert posted(up, "p0") == payments // people * 100
    assert tally("reconcile", "--data", str(up.data)).code == 0


def end_of(up: Up) -> int:
    """The end of the store; 0 while nobody answers."""
    try:
        return int(up.get("/v1/status")["end"])
    except OSError:
        return 0
