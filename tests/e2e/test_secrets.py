"""No pay code and no device secret is anywhere but in the answers that show it.

Everything that the product has written is searched: tables, write-ahead log, server logs, a dump,
and what Kafka has, for the texts and for the forms that they take in a dump. What is planted on
purpose is found in each of these places: the search can.
"""

from __future__ import annotations

import gzip
import json
import subprocess
from base64 import b32decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import psycopg
import pytest
from kafka import TopicPartition

from domain.device import step_at
from infrastructure.devices import offline_code
from infrastructure.embedded import EmbeddedPostgres
from infrastructure.kafka.clients import KafkaClients
from infrastructure.settings import Settings
from tests.fixtures.fix_tally import Up, until

if TYPE_CHECKING:
    from tests.fixtures.fix_kafka import Brokers

pytestmark = pytest.mark.slow

Start = Callable[..., Up]
PLANTED = "970000000000000000000017"
"""Looks like a pay code, and is sent where anything may stand."""


def forms(secret: bytes) -> Sequence[bytes]:
    """How it might stand somewhere: as it is, in hexadecimal, in base64."""
    return (secret, secret.hex().encode(), b64encode(secret))


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


def everything(folder: Path) -> Iterator[tuple[str, bytes]]:
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            content = file.read_bytes()
            yield str(file), gzip.decompress(content) if file.suffix == ".gz" else content


def places_of(secret: bytes, places: dict[str, list[tuple[str, bytes]]]) -> dict[str, list[str]]:
    """By place: where in it one of the secret's forms stands."""
    wanted = forms(secret)
    return {
        place: [name for name, content in parts if any(form in content for form in wanted)]
        for place, parts in places.items()
    }


def rows(dsn: str) -> Iterator[tuple[str, bytes]]:
    """Every row of every table of ours, bytes as they are."""
    with psycopg.connect(dsn) as conn:
        tables = conn.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname LIKE 'tally%'"
        ).fetchall()
        assert len(tables) > 10
        for schema, table in tables:
            for row in conn.execute(f'SELECT * FROM {schema}."{table}"'.encode()):
                told = [bytes(v) if isinstance(v, bytes) else repr(v).encode() for v in row]
                yield f"{schema}.{table}", b"\0".join(told)


def dump(dsn: str, binaries: Path) -> bytes:
    command = [binaries / "pg_dump", "--dbname", dsn]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    return done.stdout


def records(bootstrap: str) -> Iterator[tuple[str, bytes]]:
    """Every record, uncompressed, with its key and headers."""
    clients = KafkaClients(Settings(kafka_bootstrap=bootstrap))
    with closing(clients.consumer(committed=False)) as consumer:
        partitions = [
            TopicPartition(topic, number)
            for topic in ("tally.main.events.v1", "tally.main.progress.v1")
            for number in consumer.partitions_for_topic(topic)
        ]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        while any(consumer.position(each) < ends[each] for each in partitions):
            for found in consumer.poll(200).values():
                for one in found:
                    told = repr(one.headers).encode() + one.key + one.value
                    yield f"{one.topic}:{one.offset}", told


@pytest.mark.timeout(300)
def test_no_code_and_no_secret_is_kept_anywhere(
    start_up: Start, tmp_path: Path, kafka_broker: Brokers, figure: Callable[[str, object], None]
) -> None:
    up = start_up(TALLY_KAFKA_BOOTSTRAP=kafka_broker.bootstrap)
    with httpx2.Client(base_url=up.url, timeout=60) as http:
        shop = Shop(up, http)
        shop.all_ways()
        shop.plant()

    def mirrored() -> bool:
        status = up.get("/v1/status")
        standings = [*status["projections"].values(), status["mirror"]]
        return all(each and each["position"] == status["end"] for each in standings)

    until(mirrored)
    server = EmbeddedPostgres(tmp_path / "tally")
    dsn = server.start()  # it runs: found
    assert server.bin is not None
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("CHECKPOINT")
    places = {
        "tables": [*rows(dsn)],
        "dump": [("pg_dump", dump(dsn, server.bin))],
        "topics": [*records(kafka_broker.bootstrap)],
    }
    assert up.stop() == 0
    server.stop()
    files = [*everything(tmp_path / "tally"), *everything(server.data.resolve())]
    places |= {
        "write-ahead log": [one for one in files if "pg_wal" in one[0]],
        "data files": [one for one in files if "pg_wal" not in one[0]],
        "logs": [one for one in files if one[0].endswith(".log")]
        + [("stderr", up.errors.read_bytes())],
        "segments": [*everything(kafka_broker.folders[0])],
    }
    planted = places_of(PLANTED.encode(), places)
    for place in places.keys() - {"segments"}:  # compressed: `topics` are what is in them
        assert planted[place], f"the search finds nothing in {place}"
    assert len(shop.secrets) > 15
    for secret in shop.secrets:
        assert not any(places_of(secret, places).values()), places_of(secret, places)
    figure("secrets searched for", len(shop.secrets))
    figure("bytes searched", sum(len(content) for each in places.values() for _, content in each))
