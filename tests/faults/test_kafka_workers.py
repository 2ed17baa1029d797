"""Workers on the topic: one is killed, all stand apart, and nobody reads what isn't so."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable
from threading import Event
from typing import Any

import pytest

from projections.rebuild import rebuild
from projections.registry import PROJECTIONS
from tests.fixtures.fix_kafka import SharedBroker
from tests.fixtures.fix_kafka_system import KafkaSystem, payments
from tests.fixtures.fix_processes import (
    Api,
    Figure,
    Process,
    Rest,
    Scaled,
    pause,
    reached,
    resume,
)
from tests.fixtures.fix_projections import content, store_feed
from tests.fixtures.fix_tally import until

OnKafka = Callable[[str], KafkaSystem]
WORKERS = 3
CLIENTS = 12


@pytest.mark.slow
def test_the_partitions_of_a_killed_worker_are_taken_over_and_each_event_is_applied_once(
    on_kafka: OnKafka, kafka: SharedBroker, scaled: Scaled, figure: Figure
) -> None:
    kills = scaled(20)
    system = on_kafka(kafka.bootstrap)
    chance = random.Random(6)
    took_s = []
    with payments(system, system.api()):
        system.mirror()
        workers = [system.kafka_worker() for _ in range(WORKERS)]
        until(lambda: system.watermark)
        for number in range(kills):
            time.sleep(chance.uniform(1, 2))  # all have their share by then
            killed = workers[number % WORKERS]
            killed.kill()
            end, began = system.end, time.monotonic()
            until(lambda end=end: system.watermark > end)
            took_s.append(time.monotonic() - began)
            killed.start()
    system.await_mirror()
    until(lambda: system.watermark == system.end)
    system.assert_the_topic_is_the_store()
    for worker in workers:
        worker.kill()

    dsn = system.store.app_dsn
    from_kafka = {name: kept(dsn, name) for name in PROJECTIONS}
    for name, projection in PROJECTIONS.items():
        rebuilt = rebuild(projection, dsn=dsn, open_feed=lambda: store_feed(dsn), stop=Event())
        assert rebuilt.position == system.end
        assert kept(dsn, name) == from_kafka[name]
    figure("kill -9 of one of three workers on Kafka under load", kills)
    figure("… until all was applied that came before, slowest, s", max(took_s))
    assert max(took_s) < 15


def kept(dsn: str, name: str) -> dict[str, Any]:
    """All rows, but for those that only partitions that stand apart need."""
    apart = ("accounts_before", "payments_carriers_ahead")
    return {table: rows for table, rows in content(dsn, name).items() if table not in apart}


class Readers:
    """Clients who read what they wrote, and an auditor, while workers are paused in turn."""

    def __init__(self, system: KafkaSystem, rest: Rest, api: Api, workers: list[Process]) -> None:
        self._system, self._rest, self._api, self._workers = system, rest, api, workers
        self.seen: Counter[str] = Counter()
        self.apart = 0

    async def pay_and_read(self, number: int, pairs: int) -> None:
        own, expected = f"own{number}", 0
        for count in range(number, pairs, CLIENTS):
            paid = await self._rest.pay(self._api, "cash", own, count % 7 + 1)
            expected += count % 7 + 1
            path = f"/v1/accounts/{own}/balance?min_position={paid.position}"
            read = await self._rest.send(self._api, "GET", path, Prefer=f"wait={count % 3}")
            if read.status == 200:
                # This client alone pays into the account: any other sum is an old one.
                assert read.body["posted"] == expected
                assert read.position >= paid.position
                self.seen["new balance"] += 1
            else:
                assert (read.status, read.body["code"]) == (503, "not_caught_up")
                self.seen["not caught up"] += 1

    async def audit(self) -> None:
        while True:
            read = await self._rest.send(self._api, "GET", "/v1/trial-balance", role="reporter")
            assert (read.status, read.body["balanced"]) == (200, True), read
            self.seen["trial balance"] += 1
            await asyncio.sleep(0.02)

    async def pause_in_turn(self) -> None:
        for worker in itertools.cycle(self._workers):
            pause(worker)
            try:
                await asyncio.sleep(0.4)
                self.apart += self._system.marks_of("balances") > 1
            finally:
                resume(worker)
            await asyncio.sleep(0.4)


@pytest.mark.slow
def test_reads_balance_and_are_never_of_before_while_the_workers_stand_apart(
    on_kafka: OnKafka, kafka: SharedBroker, scaled: Scaled, figure: Figure
) -> None:
    pairs = scaled(2_000)
    system = on_kafka(kafka.bootstrap)
    api = system.api()
    system.mirror()
    workers = [system.kafka_worker() for _ in range(WORKERS)]

    async def run() -> Readers:
        async with system.rest() as rest:
            await rest.open(api, "cash", normal_side="debit", overdraft_limit=None)
            await rest.open(api, *(f"own{number}" for number in range(CLIENTS)))
            await reached(lambda: system.watermark)
            readers = Readers(system, rest, api, workers)
            others = [
                asyncio.create_task(each()) for each in (readers.audit, readers.pause_in_turn)
            ]
            await asyncio.gather(*(readers.pay_and_read(n, pairs) for n in range(CLIENTS)))
            for task in others:
                task.cancel()
            for ended in await asyncio.gather(*others, return_exceptions=True):
                assert isinstance(ended, asyncio.CancelledError), ended
            assert not rest.troubles
            return readers

    readers = asyncio.run(run())
    seen = readers.seen
    assert seen["new balance"] + seen["not caught up"] == pairs
    assert seen["new balance"] > pairs // 20
    assert seen["trial balance"]
    assert readers.apart
    system.assert_the_topic_is_the_store()
    figure("pairs of a payment and a read, three workers on Kafka apart", pairs)
    figure("… times that partitions were seen apart", readers.apart)
    for what, count in seen.items():
        figure(f"… answered: {what}", count)
