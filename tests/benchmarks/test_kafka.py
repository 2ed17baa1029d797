"""How fast events come to Kafka, and from there or from the store to the read models, when real
processes carry them; figures, not bounds."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import statistics
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
import pytest

from projections.registry import PROJECTIONS
from tests.benchmarks.load import pay_steadily
from tests.fixtures.fix_events import History
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_processes import Process, System
from tests.fixtures.fix_tally import cpu_s, until

if TYPE_CHECKING:
    from tests.fixtures.fix_kafka import SharedBroker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
Figure = Callable[[str, object], None]
Scaled = Callable[..., int]

FEEDS = ("store", "kafka")
BY_PROCESS = (("accounts", "balances"), ("statements", "payments"))
"""Read models, as `tally up` has them."""
WITHIN_S = 900.0
LOOK_S = 0.02

PAYMENTS_A_SECOND = 500
ACCOUNTS = 200
SAMPLE_S = 0.005
"""With less, looking takes a good part of a small machine."""

_MIRRORED = "SELECT position FROM tally.mirror"
_WATERMARK = """
SELECT coalesce(min(position), -1) FROM tally_read.checkpoints
JOIN tally_read.pointers USING (projection, generation) WHERE projection = %s
"""
_ALL = b"""
SELECT (SELECT position FROM tally.events ORDER BY position DESC LIMIT 1), min(position),
    (SELECT position FROM tally.mirror)
FROM tally_read.checkpoints JOIN tally_read.pointers USING (projection, generation)
WHERE projection = 'balances'
"""


class Parts:
    """The processes of one ledger that have to do with Kafka."""

    def __init__(self, system: System, store: Store, kafka: SharedBroker) -> None:
        self._system = system
        self.settings = {
            "TALLY_DSN": store.app_dsn,
            "TALLY_LEDGER": store.ledger,
            "TALLY_KAFKA_BOOTSTRAP": kafka.bootstrap,
            "TALLY_LOG_LEVEL": "warning",
        }

    @contextmanager
    def running(self, *arguments: str) -> Iterator[Process]:
        process = self._system.program(*arguments, **self.settings)
        yield process
        process.kill()


@pytest.fixture
def parts(system: System, kafka_store: Store, kafka: SharedBroker) -> Parts:
    return Parts(system, kafka_store, kafka)


@pytest.fixture
def look(kafka_store: Store) -> Iterator[psycopg.Connection[Any]]:
    """One connection that asks how far they are; the tables may not be there yet."""
    with closing(psycopg.connect(kafka_store.app_dsn, autocommit=True)) as connection:
        yield connection


def position(look: psycopg.Connection[Any], query: str, *parameters: str) -> int:
    """-1 where nothing has begun."""
    try:
        row = look.execute(query.encode(), parameters, prepare=True).fetchone()
    except psycopg.errors.UndefinedTable:
        return -1
    return -1 if row is None else int(row[0])


def test_events_into_kafka_and_to_the_read_models(
    kafka_store: Store,
    parts: Parts,
    look: psycopg.Connection[Any],
    scaled: Scaled,
    figure: Figure,
) -> None:
    """Every other payment is on one hot account. A third of the events at a time is measured, and
    the median told, but for the first tenth; a worker's rate is that of all."""
    end = a_history(kafka_store, scaled(300_000, least=10_000))
    mirrored = partial(position, look, _MIRRORED)
    with parts.running("mirror") as mirror:
        rates, shares = [], []
        for part in (0.1, 0.4, 0.7):
            began = reach(mirrored, int(end * part), mirror)
            ended = reach(mirrored, int(end * (part + 0.3)), mirror)
            rates.append((ended.position - began.position) / (ended.at - began.at))
            shares.append((ended.cpu_s - began.cpu_s) / (ended.at - began.at))
        figure("mirror, events/s", int(statistics.median(rates)))
        figure("mirror, processors", statistics.median(shares))
        reach(mirrored, end, mirror)
    for feed in FEEDS:
        for name in PROJECTIONS:
            with parts.running("project", name, "--feed", feed) as worker:
                watermark = partial(position, look, _WATERMARK, name)
                began = reach(watermark, 0, worker)
                ended = reach(watermark, end, worker)
            figure(
                f"catch-up of {name} from the {feed}, events/s", int(end / (ended.at - began.at))
            )
            figure(
                f"catch-up of {name} from the {feed}, processors",
                (ended.cpu_s - began.cpu_s) / (ended.at - began.at),
            )
            look.execute("DELETE FROM tally_read.pointers WHERE projection = %s", (name,))


@pytest.mark.parametrize(
    ("feed", "mirrored"),
    [("store", False), ("store", True), ("kafka", True)],
    ids=["store", "store beside a mirror", "kafka"],
)
def test_from_commit_to_read_model(
    system: System,
    parts: Parts,
    kafka_store: Store,
    look: psycopg.Connection[Any],
    scaled: Scaled,
    figure: Figure,
    feed: str,
    mirrored: bool,
) -> None:
    """From when an event can be seen in the store until the balances have it, with the whole
    product at work on steady payments."""
    api = system.api(TALLY_LEDGER=kafka_store.ledger)

    async def opened() -> None:
        async with system.rest() as rest:
            await rest.open(api, *map(account, range(ACCOUNTS)), overdraft_limit=None)

    asyncio.run(opened())
    watermark = partial(position, look, _WATERMARK, "balances")
    with (
        ExitStack() as stack,
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as elsewhere,
    ):
        processes = {"serve": api.process}
        if mirrored:
            processes["mirror"] = stack.enter_context(parts.running("mirror"))
        for names in BY_PROCESS:
            process = stack.enter_context(parts.running("project", *names, "--feed", feed))
            processes[f"project {' '.join(names)}"] = process
        until(lambda: watermark() >= 2 * ACCOUNTS)
        pay = partial(
            pay_steadily,
            api.url,
            system.keys["client"],
            accounts=ACCOUNTS,
            a_second=PAYMENTS_A_SECOND,
        )
        # What starts is not what runs, and a broker gets faster while it runs.
        elsewhere.submit(pay, seconds=scaled(10)).result()
        used = {name: cpu_s(process.pid) for name, process in processes.items()}
        began = time.time()
        paying = elsewhere.submit(pay, seconds=scaled(30, least=3))
        stored, read, in_kafka = Seen([], []), Seen([], []), Seen([], [])
        while not paying.done() or read.position[-1] < stored.position[-1]:
            row = look.execute(_ALL, prepare=True).fetchone()
            assert row is not None
            now = time.time()
            for seen, reached in zip((stored, read, in_kafka), row, strict=True):
                seen.position.append(reached or 0)
                seen.at.append(now)
            time.sleep(SAMPLE_S)
        took_s = time.time() - began
        rate = paying.result() / took_s
        shares = {
            name: (cpu_s(process.pid) - used[name]) / took_s for name, process in processes.items()
        }
    name = f"{feed}{' beside a mirror' if feed == 'store' and mirrored else ''}"
    figure(f"through the {name}: payments/s", int(rate))
    for process_name, share in shares.items():
        figure(f"through the {name}: {process_name}, processors", share)
    for where, seen in (("the balances", read), ("Kafka", in_kafka))[: 1 + mirrored]:
        last = min(seen.position[-1], stored.position[-1])
        lags_ms = [
            (seen.since(number) - stored.since(number)) * 1000
            for number in range(stored.position[0] + 1, last + 1)
        ]
        percentiles = statistics.quantiles(lags_ms, n=100)
        figure(f"through the {name}: in {where} after p50, ms", percentiles[49])
        figure(f"through the {name}: in {where} after p99, ms", percentiles[98])


class Reached(NamedTuple):
    position: int
    at: float
    cpu_s: float


class Seen(NamedTuple):
    """Samples of a watermark, in order."""

    position: list[int]
    at: list[float]

    def since(self, wanted: int) -> float:
        """When it was first seen at that position or past it."""
        return self.at[bisect_left(self.position, wanted)]


def reach(look: Callable[[], int], wanted: int, process: Process) -> Reached:
    """Waits until it is there; says where it was found."""

    def there() -> bool:
        assert process.running, process.said
        return look() >= wanted

    until(there, WITHIN_S)
    return Reached(look(), time.monotonic(), cpu_s(process.pid))


def a_history(store: Store, events: int) -> int:
    """In the store; gives its end."""
    chance = random.Random(1)
    names = [f"customers:{number}" for number in range(5_000)]
    history = History(ledger=store.ledger).open("hot").open(*names)
    while history.end < events:
        debit, credit = chance.sample(names, 2)
        credit = "hot" if history.end % 2 else credit
        history.pay((debit, credit, chance.randint(1, 9_999)), reference=f"order-{history.end}")
        if history.end % 3_000 < 3:
            history.later(seconds=1)
    return history.store(store.app_dsn)


def account(number: int) -> str:
    return f"customers:{number}"
