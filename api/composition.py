"""The composition root: what the API runs on. Only this file knows which adapters there are."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from datetime import UTC, datetime
from itertools import islice
from threading import Event
from typing import Final, cast

from fastapi import FastAPI

from api.app import make_app
from api.auth import Caller, KeyRing
from api.metrics import Metrics
from api.parts import Parts
from api.reading import ReadModels
from application.attempts import AttemptLimits
from application.commands import Command
from application.due import Sweeper
from application.ledger import Ledger
from application.ports import Clock, StoredSnapshot
from application.snapshots import Snapshots
from application.writer import Writer
from infrastructure import reconcile as reconciling
from infrastructure.announced_end import AnnouncedEnd
from infrastructure.carriers.decoders import Decoders
from infrastructure.carriers.shop_qr import ShopQr
from infrastructure.connections import ReadPool
from infrastructure.devices import Devices
from infrastructure.due_payments import DuePaymentsReadModel
from infrastructure.event_log import EventLog
from infrastructure.kafka.clients import KafkaClients
from infrastructure.kafka.feed import KafkaFeed
from infrastructure.kafka.mirror import Mirror
from infrastructure.kafka.topics import check_topics, topics_of
from infrastructure.kafka.watchdog import Watchdog
from infrastructure.key_lookup import KeyLookup
from infrastructure.keys import Role
from infrastructure.mapper import EventMapper, UnknownEventType, UnreadablePayload
from infrastructure.order_signatures import OrderSigner
from infrastructure.pay_codes import PayCodes
from infrastructure.reconcile import Report
from infrastructure.request_tokens import RequestTokens
from infrastructure.secret import Secrets
from infrastructure.settings import Settings
from infrastructure.store import Datastore, LedgerRecorder, StoreFactory
from infrastructure.store_feed import StoreFeed
from projections.feed import EventFeed
from projections.reading import Reader
from projections.rebuild import Filled, Rebuilt, rebuild
from projections.registry import PROJECTIONS
from projections.worker import run_projections

WRITER_POOL: Final = 3
"""The writer's connection, one for its turn while a batch goes on, one for snapshots."""
KEY_POOL: Final = 2
MAX_WAITING_READS: Final = 1_000
"""Reads that wait for a connection; one beyond them is refused at once."""
FILL_BATCH: Final = 2_000
"""Commands of one commit of `record`."""
READ_TIMEOUT_S: Final = 15.0
"""Of one statement of a read; of a statement's page or a trial balance, that is a lot."""


def clock() -> datetime:
    return datetime.now(UTC)


def end_process() -> None:
    """Without its writer a process answers no command: its supervisor starts it afresh."""
    logging.shutdown()
    os._exit(70)


def compose(
    settings: Settings,
    *,
    dsn: str,
    url: str,
    secrets: Secrets,
    stopping: asyncio.Event,
    clock: Clock = clock,
    on_writer_death: Callable[[], None] = end_process,
    sweeps: bool = True,
) -> FastAPI:
    """The app on the store of that DSN (as tally_app); its parts start and end with its lifespan.

    `url` is where the API will be; `stopping` is set when the process begins to end; without
    `sweeps` nothing is done that nobody asks for.
    """
    metrics = Metrics()

    @asynccontextmanager
    async def running() -> AsyncIterator[Parts]:
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(
                ReadPool(
                    dsn,
                    size=settings.read_pool_size,
                    max_waiting=MAX_WAITING_READS,
                    timeout_s=settings.store_timeout_s,
                    statement_s=READ_TIMEOUT_S,
                )
            )
            # Of their own: no command waits for its key behind reads that take long.
            for_keys = await stack.enter_async_context(
                ReadPool(
                    dsn,
                    size=KEY_POOL,
                    max_waiting=MAX_WAITING_READS,
                    timeout_s=settings.store_timeout_s,
                    statement_s=settings.store_timeout_s,
                )
            )
            events = EventLog(pool, EventMapper())
            announced = AnnouncedEnd(dsn)
            await announced.start()
            stack.push_async_callback(announced.stop)
            devices = Devices(for_keys, secrets, prefix=settings.device_prefix)
            await devices.seal_all_anew()
            writer = _writer(settings, dsn, clock, metrics, on_writer_death, stack)
            if sweeps:
                due = DuePaymentsReadModel(dsn, timeout_s=settings.store_timeout_s)
                sweeper = Sweeper(due, writer.submit, clock=clock)
                sweeper.start()
                stack.callback(sweeper.stop)
            decoders = Decoders()
            stack.push_async_callback(decoders.stop)
            yield Parts(
                ledger=settings.ledger,
                clock=clock,
                writer=writer,
                events=events,
                announced=announced,
                reads=ReadModels(Reader(pool), events, clock=clock, pool_stats=pool.get_stats),
                keys=_key_ring(KeyLookup(for_keys, secrets.hashes())),
                metrics=metrics,
                pay_codes=PayCodes(secrets, prefix=settings.pay_code_prefix),
                devices=devices,
                public_url=settings.public_url or url,
                shop_qr=ShopQr(
                    country=settings.qr_country, city=settings.qr_city, mcc=settings.qr_mcc
                ),
                decoders=decoders,
                request_tokens=RequestTokens(secrets),
                order_signer=OrderSigner(secrets),
                stopping=stopping,
            )

    return make_app(running, metrics)


def run_workers(settings: Settings, names: Sequence[str], *, dsn: str, stop: Event) -> None:
    """Keeps the read models of these names up to date until `stop` is set."""
    run_projections(
        [PROJECTIONS[name] for name in names],
        dsn=dsn,
        open_feed=lambda: _feed(settings, dsn),
        stop=stop,
    )


def run_mirror(settings: Settings, *, dsn: str, stop: Event) -> None:
    """Mirrors the store into Kafka until `stop` is set; see infrastructure/kafka/mirror.py."""
    Mirror(
        dsn=dsn,
        feed=_store_feed(settings, dsn),
        clients=KafkaClients(settings),
        topics=topics_of(settings.ledger),
        ledger=settings.ledger,
        replication_factor=settings.kafka_replication_factor,
        min_insync_replicas=settings.kafka_min_insync_replicas,
        batch_size=settings.mirror_batch_size,
        takeover_s=settings.mirror_takeover_s,
        stop=stop,
        watchdog=Watchdog(),
    ).run()


def check_kafka(settings: Settings) -> None:
    """Raises FeedAway where no broker answers, CannotStart where a topic is not as it must be."""
    check_topics(KafkaClients(settings), topics_of(settings.ledger))


def record(settings: Settings, commands: Iterable[Command], *, dsn: str) -> Iterator[int]:
    """Decides and records commands in order, without HTTP and many in a commit: how a store to
    measure on is filled. Gives how many are recorded, after each commit; none may be refused."""
    with ExitStack() as stack:
        ledger = _ledger(settings, dsn, clock, stack)
        recorded, waiting = 0, iter(commands)
        while batch := list(islice(waiting, FILL_BATCH)):
            for answer in ledger.commit(ledger.decide(batch)):
                assert not isinstance(answer, Exception), answer
                assert answer.refusal is None, answer
            yield (recorded := recorded + len(batch))


def rebuild_read_model(
    settings: Settings,
    name: str,
    *,
    dsn: str,
    stop: Event,
    progress: Callable[[Filled], None],
) -> Rebuilt:
    """Builds the read model of this name anew, and swaps; see projections/rebuild.py."""
    return rebuild(
        PROJECTIONS[name],
        dsn=dsn,
        open_feed=lambda: _feed(settings, dsn),
        stop=stop,
        progress=progress,
    )


def reconcile_store(
    settings: Settings, *, dsn: str, kafka: bool, progress: Callable[[str, int, int], None]
) -> Report:
    """Proves the store, its read models, its snapshots and, if wanted, its mirror in Kafka; see
    infrastructure/reconcile."""
    mirror = (KafkaClients(settings), topics_of(settings.ledger)) if kafka else None
    with ExitStack() as stack:
        datastore = Datastore(dsn, pool_size=1, timeout_s=settings.store_timeout_s)
        stack.callback(datastore.close)
        snapshots = Snapshots(
            LedgerRecorder(datastore), EventMapper(), interval=settings.snapshot_interval
        )

        def differs(snapshot: reconciling.StoredSnapshot) -> bool:
            try:
                return snapshots.differs(StoredSnapshot(*snapshot))
            except (UnknownEventType, UnreadablePayload):
                return True

        return reconciling.reconcile(
            dsn, snapshot_differs=differs, mirror=mirror, progress=progress
        )


def _feed(settings: Settings, dsn: str) -> EventFeed:
    if settings.feed == "kafka":
        return KafkaFeed(KafkaClients(settings), topics_of(settings.ledger), settings.ledger)
    return _store_feed(settings, dsn)


def _store_feed(settings: Settings, dsn: str) -> StoreFeed:
    return StoreFeed(dsn, EventMapper(), connect_timeout_s=max(2, int(settings.store_timeout_s)))


def _writer(
    settings: Settings,
    dsn: str,
    clock: Clock,
    metrics: Metrics,
    on_death: Callable[[], None],
    stack: AsyncExitStack,
) -> Writer:
    """Started; the stack ends it, once what it has accepted is decided."""
    writer = Writer(
        _ledger(settings, dsn, clock, stack),
        queue_size=settings.queue_size,
        batch_size=settings.batch_size,
        timeout_s=settings.store_timeout_s,
        on_death=on_death,
        observe=metrics.batch,
    )
    writer.start()
    stack.callback(writer.stop)
    return writer


def _ledger(
    settings: Settings, dsn: str, clock: Clock, stack: AsyncExitStack | ExitStack
) -> Ledger:
    """With its snapshots; the stack closes it."""
    datastore = Datastore(dsn, pool_size=WRITER_POOL, timeout_s=settings.store_timeout_s)
    snapshots = Snapshots(
        LedgerRecorder(datastore), EventMapper(), interval=settings.snapshot_interval
    )
    ledger = Ledger(
        ledger=settings.ledger,
        factory=StoreFactory(datastore),
        clock=clock,
        snapshots=snapshots,
        cache_accounts=settings.cache_accounts,
        attempt_limits=AttemptLimits(settings.attempts_per_caller, settings.attempts_per_account),
    )
    stack.callback(ledger.close)
    snapshots.start()
    stack.callback(snapshots.stop)
    return ledger


def _key_ring(lookup: KeyLookup) -> KeyRing:
    async def caller(token: str) -> Caller | None:
        holder = await lookup.holder(token)
        if holder is None:
            return None
        return Caller(holder.caller, cast(Role, holder.role), holder.key_id)

    return KeyRing(caller)
