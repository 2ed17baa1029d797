"""No pay code and no device secret is anywhere but in the answers that show it.

Everything that the product has written is searched, after every flow and a day of `tally demo`:
tables, write-ahead log, server logs, a dump, and Kafka's segments, for the texts and for the forms
that they take in a dump. What is planted on purpose is found in each of these places: the search
can. The same search goes over what the servers of the whole test run keep, see fix_secrets.py.
"""

from __future__ import annotations

import json
import subprocess
from base64 import b32decode
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import psycopg
import pytest

from domain.code_events import PayCodeIssued
from domain.device import step_at
from infrastructure.devices import offline_code
from infrastructure.embedded import EmbeddedPostgres
from infrastructure.mapper import EventMapper
from infrastructure.pay_codes import PayCodes
from infrastructure.secret import Secrets
from infrastructure.settings import Settings
from infrastructure.store_feed import StoreFeed
from projections.feed import START
from tests.fixtures.fix_search import files_with, write_records, write_tables
from tests.fixtures.fix_tally import Up, tally, until

if TYPE_CHECKING:
    from tests.fixtures.fix_kafka import Brokers

pytestmark = pytest.mark.slow

Start = Callable[..., Up]
PLANTED = "970000000000000000000017"
"""Looks like a pay code, and is sent where anything may stand."""


class Shop:
    """Sends what shops and phones send, and keeps every secret that it is shown."""

    def __init__(self, up: Up, http: httpx2.Client) -> None:
        self.http = http
        self.keys = up.keys
        self.secrets: list[bytes] = []
        self.sent = 0

    def post(
        self, path: str, body: Any, *, role: str = "client", **headers: str
    ) -> httpx2.Response:
        self.sent += 1
        given = {
            "Authorization": f"Bearer {self.keys[role]}",
            "Idempotency-Key": f"key-{self.sent}",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        return self.http.post(path, json=body, headers=given)

    def open(self) -> None:
        for name, limit in (("alice", None), ("bob", 0)):
            body = {"id": name, "currency": "EUR", "overdraft_limit": limit}
            assert self.post("/v1/accounts", body, role="admin").status_code == 201

    def code(self, **terms: Any) -> str:
        body = {"debit_account": "alice", "currency": "EUR", "max_amount": 500, **terms}
        made = self.post("/v1/pay-codes", body, Idempotency_Key=f"code-{len(self.secrets)}")
        code: str = made.json()["code"]
        self.secrets.append(code.encode())
        again = self.post("/v1/pay-codes", body, Idempotency_Key=f"code-{len(self.secrets) - 1}")
        assert again.json()["code"] == code
        carrier = f"/v1/pay-codes/{made.json()['id']}/carrier?as=qr"
        position = f"&min_position={made.json()['position']}"
        shown = self.http.get(
            carrier + position,
            headers={"Authorization": f"Bearer {self.keys['client']}", "Prefer": "wait=20"},
        )
        assert shown.status_code == 200
        return code

    def device(self) -> Callable[[int], str]:
        body = {"debit_account": "alice", "currency": "EUR"}
        caps = {"per_payment_max": 100, "offline_total_max": 200}
        made = self.post("/v1/devices", {**body, **caps}).json()
        raw = b32decode(made["secret"])
        self.secrets += [made["secret"].encode(), raw]

        def show(skew: int) -> str:
            step = step_at(datetime.now(UTC)) + skew
            code = offline_code("9701", made["handle"], raw, step)
            self.secrets.append(code.encode())
            return code

        return show

    def pay(self, code: str, amount: int = 10, path: str = "/v1/payments", **members: Any) -> Any:
        posting = {"credit": "bob", "amount": amount, "currency": "EUR"}
        return self.post(path, {"pay_code": code, "postings": [posting], **members}).json()

    def all_ways(self) -> None:
        """Used, used again, mistyped, exceeded, refused, over, confirmed, declined, dry, wrong."""
        self.open()
        used = self.code()
        assert self.pay(used)["state"] == "settled"
        assert self.pay(used)["code"] == "pay_code_invalid"
        assert self.pay(self.code(), 501)["code"] == "pay_code_exceeded"
        assert self.pay(self.code(), path="/v1/payments?dry_run=true")["state"] == "settled"
        self.pay(self.code(), mode="hold")
        self.pay(self.code(), reference=7)
        mistyped = used[:5] + used[6:]
        self.secrets.append(mistyped.encode())
        self.pay(mistyped)
        for verb in ("confirm", "decline", "cancel"):
            pending = self.pay(self.code(confirm_above=0))
            answer = self.post(f"/v1/payments/{pending['id']}/{verb}", {})
            assert answer.status_code == 200
        show = self.device()
        assert self.pay(show(0))["state"] == "settled"
        for skew, amount in ((0, 1), (1, 101), (3, 1)):
            assert "code" in self.pay(show(skew), amount)
        line = {"idempotency_key": "line", "pay_code": self.code(), "postings": []}
        self.http.post(
            "/v1/payments/bulk",
            content=json.dumps(line),
            headers={
                "Authorization": f"Bearer {self.keys['client']}",
                "Content-Type": "application/x-ndjson",
            },
        )

    def plant(self) -> None:
        """Where a client may say anything: metadata, and the request's id, which is logged."""
        posting = {"debit": "alice", "credit": "bob", "amount": 1, "currency": "EUR"}
        body = {"postings": [posting], "metadata": {"note": PLANTED}}
        answer = self.post("/v1/payments", body, X_Request_Id=f"r{PLANTED}")
        assert answer.status_code == 201


def codes_made(dsn: str, data: Path) -> set[bytes]:
    """Every pay code that the product made, whoever saw it: worked out as it does."""
    secrets = Secrets((data / "secret").read_text().strip(), None)
    codes = PayCodes(secrets, prefix=Settings().pay_code_prefix)
    made = set()
    with closing(StoreFeed(dsn, EventMapper())) as feed:
        mark = START
        while records := feed.read({0: mark}, 1000):
            mark = records[-1].mark
            for record in records:
                if isinstance(record.event, PayCodeIssued):
                    digits = codes.digits(record.event.command, record.event.originator_id)
                    assert digits
                    made.add(digits.encode())
    return made


def files(*folders: Path) -> list[Path]:
    return [file for folder in folders for file in folder.rglob("*") if file.is_file()]


@pytest.mark.timeout(300)
def test_no_code_and_no_secret_is_kept_anywhere(
    start_up: Start, tmp_path: Path, kafka_broker: Brokers, figure: Callable[[str, object], None]
) -> None:
    up = start_up(TALLY_KAFKA_BOOTSTRAP=kafka_broker.bootstrap)
    with httpx2.Client(base_url=up.url, timeout=60) as http:
        shop = Shop(up, http)
        shop.all_ways()
        shop.plant()
    day = tally("demo", "--purchases", "600", "--json", "--data", str(up.data))
    assert day.code == 0, day.err

    def mirrored() -> bool:
        status = up.get("/v1/status")
        standings = [*status["projections"].values(), status["mirror"]]
        return all(each and each["position"] == status["end"] for each in standings)

    until(mirrored)
    server = EmbeddedPostgres(tmp_path / "tally")
    dsn = server.start()  # it runs: found
    made = codes_made(dsn, up.data)
    assert {one for one in shop.secrets if one in made}
    secrets = made.union(shop.secrets)
    assert len(secrets) > 15 + day.json["by_phone"]["payments"] // 3
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("CHECKPOINT")
    out = tmp_path / "out"
    out.mkdir()
    write_tables(dsn, out / "tables")
    assert server.bin is not None
    dump = [server.bin / "pg_dump", "--dbname", dsn, "--file", out / "dump"]
    subprocess.run(dump, check=True, timeout=60)
    assert up.stop() == 0
    server.stop()
    broker = kafka_broker.folders[0]
    write_records(f"{broker}/data/tally.*/*.log", out / "segments")
    data = server.data.resolve()
    places = {
        "tables": files(out / "tables"),
        "dump": [out / "dump"],
        "segments": files(out / "segments"),
        "write-ahead log": files(data / "pg_wal"),
        "data files": files(data / "base"),
        "logs": [up.errors, *(up.data / "logs").glob("*.log")],
    }
    for place, parts in places.items():
        assert files_with([PLANTED.encode()], *parts), f"the search finds nothing in {place}"
    everywhere = (tmp_path, data, broker)
    assert files_with(secrets, *everywhere) == []
    figure("secrets searched for", len(secrets))
    figure("bytes searched", sum(file.stat().st_size for file in files(*everywhere)))
