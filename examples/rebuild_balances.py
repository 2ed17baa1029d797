"""Every balance of a ledger, rebuilt from Kafka alone and compared with what the API says.

    TALLY_KEY=tk_… python examples/rebuild_balances.py --bootstrap HOST:PORT --url URL

Needs kafka-python, and a key of any role that reads (reporter, auditor, client). It exits with 0
if all balances are equal, 1 if they are not or the topic has a gap, 2 if it could not run.

A consumer in small: read the topic as docs/kafka.md says, hold each partition to its chain of
positions, stop where a progress record says that all before is there, and add up what is posted and
what is held.
"""

import argparse
import json
import os
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

PATIENCE_S = 60.0


class Hold(NamedTuple):
    left: int
    expires_at: str
    """All times are texts of the same form: they compare as the times do."""


class Balance(NamedTuple):
    posted: int
    pending_debit: int
    pending_credit: int

    def __str__(self) -> str:
        return "/".join(map(str, self))


@dataclass
class Account:
    currency: str
    normal_side: str
    posted: int = 0
    version: int = 0
    holds: dict[tuple[str, int, str], Hold] = field(default_factory=dict)
    """By payment, number of the posting and side."""

    def keep(self, key: tuple[str, int, str], hold: Hold) -> None:
        """A hold as an event leaves it; with nothing left it goes."""
        self.holds.pop(key, None)
        if hold.left:
            self.holds[key] = hold

    def balance(self, at: str) -> Balance:
        """At that time: a hold counts until its deadline, whether an event has said so or not."""
        pending = {"debit": 0, "credit": 0}
        for (_, _, side), hold in self.holds.items():
            pending[side] += hold.left if hold.expires_at > at else 0
        return Balance(self.posted, pending["debit"], pending["credit"])


class Gap(Exception):
    """A record is missing before this one: nothing after it can be trusted."""


def consumer_of(bootstrap: str) -> KafkaConsumer:
    """Keeps its own place, so it has no group; a broker's security settings go in here."""
    return KafkaConsumer(
        bootstrap_servers=bootstrap.split(","),
        bootstrap_timeout_ms=10_000,
        isolation_level="read_committed",
        enable_auto_commit=False,
        group_id=None,
        allow_auto_create_topics=False,
    )


def newest_progress(consumer: KafkaConsumer, ledger: str) -> dict[str, Any]:
    """The newest progress record: {"position": N, "partitions": {"0": last position, …}, …}."""
    partition = TopicPartition(f"tally.{ledger}.progress.v1", 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    end = consumer.end_offsets([partition])[partition]
    newest: dict[str, Any] = {"position": 0, "partitions": {}}
    deadline = time.monotonic() + PATIENCE_S
    # The last offsets are no records but marks of transactions: the consumer's position counts.
    while consumer.position(partition) < end:
        if time.monotonic() > deadline:
            raise TimeoutError("the progress topic could not be read to its end")
        for record in consumer.poll(timeout_ms=500).get(partition, ()):
            newest = json.loads(record.value)
    return newest


def progress_from(consumer: KafkaConsumer, ledger: str, position: int) -> dict[str, Any]:
    """The newest progress record, once it has come to the position."""
    deadline = time.monotonic() + PATIENCE_S
    while (found := newest_progress(consumer, ledger))["position"] < position:
        if time.monotonic() > deadline:
            raise TimeoutError(f"progress is at {found['position']}, not at {position}")
        time.sleep(0.2)
    return found


def items(consumer: KafkaConsumer, ledger: str, last: dict[int, int]) -> Iterator[dict[str, Any]]:
    """Every event from the first on, until each partition is at its last position."""
    topic = f"tally.{ledger}.events.v1"
    at = dict.fromkeys(last, 0)
    consumer.assign([TopicPartition(topic, partition) for partition in last])
    consumer.seek_to_beginning()
    deadline = time.monotonic() + PATIENCE_S
    while any(at[partition] < last[partition] for partition in last):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing came, and the partitions are at {at}")
        for batch in consumer.poll(timeout_ms=500).values():
            deadline = time.monotonic() + PATIENCE_S
            for record in batch:
                headers = dict(record.headers)
                position = int(headers["ce_position"])
                if position <= at[record.partition]:
                    continue  # Seen before. Never with read_committed, but it costs nothing.
                if int(headers["ce_prevposition"]) != at[record.partition]:
                    raise Gap(f"partition {record.partition}: before position {position}")
                if position <= last[record.partition]:
                    at[record.partition] = position
                    yield json.loads(record.value)
                else:
                    break  # The rest came after the position that we stop at.


def rebuilt(events: Iterator[dict[str, Any]]) -> dict[str, Account]:
    """Accounts by id. All events of an account are in one partition, in order."""
    accounts: dict[str, Account] = {}
    for event in events:
        kind, data = event["type"], event["data"]
        if kind == "tally.account.opened.v1":
            accounts[data["account"]] = Account(data["currency"], data["normal_side"])
        if not kind.startswith("tally.account."):
            continue
        account = accounts[data["account"]]
        account.version = event["version"]
        if kind in ("tally.account.debited.v1", "tally.account.credited.v1"):
            side = "debit" if "debited" in kind else "credit"
            account.posted += data["amount"] if side == account.normal_side else -data["amount"]
            if data["from_hold"]:
                hold = Hold(data["hold_left"], data["hold_expires_at"])
                account.keep((data["payment"], data["index"], side), hold)
        elif kind in ("tally.account.held.v1", "tally.account.released.v1"):
            hold = Hold(data["amount"] if "held" in kind else 0, data["expires_at"])
            account.keep((data["payment"], data["index"], data["side"]), hold)
    return accounts


def get(url: str, **query: Any) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{url}?{urllib.parse.urlencode(query)}",
        headers={"Authorization": f"Bearer {os.environ['TALLY_KEY']}", "Prefer": "wait=30"},
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def told(url: str, position: int, accounts: dict[str, Account]) -> dict[str, Balance]:
    """What the API says each account had at the position, and at its recorded time."""
    balances = {}
    page: dict[str, Any] = {}
    while not page or page["next_cursor"]:
        cursor = {"cursor": page["next_cursor"]} if page else {}
        page = get(f"{url}/v1/balances", min_position=position, limit=500, **cursor)
        for balance in page["items"]:
            name = balance["account"]
            ours = accounts.get(name)
            if ours is None or balance["version"] != ours.version or ours.holds:
                # The API is ahead, or a deadline may have passed since: ask what it was then.
                # Version 0 is an account not opened yet.
                path = f"{url}/v1/accounts/{urllib.parse.quote(name)}/balance"
                balance = get(path, as_of_position=position)  # noqa: PLW2901
            if balance["version"]:
                balances[name] = Balance(*(balance[member] for member in Balance._fields))
    return balances


def compare(accounts: dict[str, Account], balances: dict[str, Balance], at: str) -> bool:
    """Prints both sides, and whether all are equal."""
    print("posted/pending_debit/pending_credit")
    line = "{:<32} {:<8} {:>20} {:>20}  {}".format
    print(line("account", "currency", "from Kafka", "by the API", "").rstrip())
    equal = True
    for name in sorted(accounts.keys() | balances.keys()):
        account = accounts.get(name)
        ours, theirs = account and account.balance(at), balances.get(name)
        equal = equal and ours == theirs
        currency, mark = account.currency if account else "?", "" if ours == theirs else "differs"
        print(line(name, currency, str(ours), str(theirs), mark).rstrip())
    return equal


def main() -> int:
    parser = argparse.ArgumentParser(description="Rebuilds every balance from Kafka.")
    parser.add_argument("--bootstrap", default="127.0.0.1:9092", help="HOST:PORT,…")
    parser.add_argument("--ledger", default="main")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="of the API")
    parser.add_argument("--position", type=int, default=1, help="wait for progress to here")
    asked = parser.parse_args()
    if not os.environ.get("TALLY_KEY"):
        parser.error("TALLY_KEY must be a key that reads")
    try:
        consumer = consumer_of(asked.bootstrap)
        progress = progress_from(consumer, asked.ledger, asked.position)
        last = {int(partition): at for partition, at in progress["partitions"].items()}
        accounts = rebuilt(items(consumer, asked.ledger, last))
        consumer.close()
        balances = told(asked.url, progress["position"], accounts)
    except Gap as gap:
        print(f"a gap: {gap}", file=sys.stderr)
        return 1
    except (KafkaError, OSError) as error:
        print(f"could not run: {error}", file=sys.stderr)
        return 2
    equal = compare(accounts, balances, progress.get("recorded_at", ""))
    print(f"{len(accounts)} accounts at position {progress['position']}:", end=" ")
    print("all equal" if equal else "NOT EQUAL")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
