"""How fast events come to Kafka, and from there or from the store to the read models, when real
processes carry them; figures, not bounds."""

from __future__ import annotations

import asyncio
import random
import secrets
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
import pytest

from api.bench.cpu import Processes, used_s
from api.bench.jobs import Crew, Job
from api.bench.lag import percentiles_ms, watching
from api.bench.measuring import Measured, loaded
from projections.registry import PROJECTIONS
from tests.fixtures.fix_events import History
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_processes import Process, System
from tests.fixtures.fix_tally import until

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
PREFIX = "customers:"
_MIRRORED = "SELECT position FROM tally.mirror"
_WATERMARK = """
SELECT coalesce(min(position), -1) FROM tally_read.checkpoints
JOIN tally_read.pointers USING (projection, generation) WHERE projection = %s
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
    with ExitStack() as stack:
        processes = {"serve": api.process}
        if mirrored:
            processes["mirror"] = stack.enter_context(parts.running("mirror"))
        for names in BY_PROCESS:
            process = stack.enter_context(parts.running("project", *names, "--feed", feed))
            processes[f"project {' '.join(names)}"] = process
        until(lambda: watermark() >= 2 * ACCOUNTS)
        alive = Processes({name: process.pid for name, process in processes.items()}, None)

        def pay(seconds: int) -> Measured:
            crew = Crew(does="spread", connections=ACCOUNTS, a_second=PAYMENTS_A_SECOND)
            job = Job(
                url=api.url,
                key=system.keys["client"],
                run=secrets.token_hex(8),
                prefix=PREFIX,
                accounts=ACCOUNTS,
                crews=[crew],
                warm_s=0,
                seconds=seconds,
            )
            return loaded(job, alive)

        # What starts is not what runs, and a broker gets faster while it runs.
        pay(scaled(10))
        with watching(kafka_store.app_dsn) as seen:
            paid = pay(scaled(30, least=3))
    (crew,) = paid.crews
    assert crew.answers.keys() == {"201"}
    name = f"{feed}{' beside a mirror' if feed == 'store' and mirrored else ''}"
    figure(f"through the {name}: payments/s", int(crew.rate))
    for process_name, share in paid.cpu.items():
        figure(f"through the {name}: {process_name}, processors", share)
    for where, reached in (("the balances", seen.balances), ("Kafka", seen.mirror))[: 1 + mirrored]:
        p50, p99 = percentiles_ms(reached.after_ms(seen.stored))
        figure(f"through the {name}: in {where} after p50, ms", p50)
        figure(f"through the {name}: in {where} after p99, ms", p99)


class Reached(NamedTuple):
    position: int
    at: float
    cpu_s: float


def reach(look: Callable[[], int], wanted: int, process: Process) -> Reached:
    """Waits until it is there; says where it was found."""

    def there() -> bool:
        assert process.running, process.said
        return look() >= wanted

    until(there, WITHIN_S)
    return Reached(look(), time.monotonic(), used_s(process.pid))


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
    return f"{PREFIX}{number}"
