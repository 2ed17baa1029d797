"""What the API runs on."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, cast

from fastapi import FastAPI

from api.app import make_app
from api.auth import Caller, KeyRing
from api.composition.clock import clock
from api.composition.writing import end_process, started_sweeper, started_writer
from api.metrics import Metrics
from api.parts import Parts
from api.rates import Rates
from api.reading import ReadModels
from application.ports import Clock
from application.writer import CommandWriter
from infrastructure.announced_end import AnnouncedEnd
from infrastructure.carriers.decoders import Decoders
from infrastructure.carriers.shop_qr import ShopQr
from infrastructure.connections import ReadPool
from infrastructure.devices import Devices
from infrastructure.event_log import EventLog
from infrastructure.key_lookup import KeyLookup
from infrastructure.keys import Role
from infrastructure.mapper import EventMapper
from infrastructure.order_signatures import OrderSigner
from infrastructure.pay_codes import PayCodes
from infrastructure.request_tokens import RequestTokens
from infrastructure.secret import Secrets
from infrastructure.settings import Settings
from infrastructure.writer_link import RemoteWriter
from projections.reading import Reader

KEY_POOL: Final = 2
MAX_WAITING_READS: Final = 1_000
"""Reads that wait for a connection; one beyond them is refused at once."""
READ_TIMEOUT_S: Final = 15.0
"""Of one statement of a read; of a statement's page or a trial balance, that is a lot."""


def compose(
    settings: Settings,
    *,
    dsn: str,
    url: str,
    secrets: Secrets,
    stopping: asyncio.Event,
    clock: Clock = clock,
    writer_at: Path | None = None,
    on_writer_death: Callable[[], None] = end_process,
    sweeps: bool = True,
) -> FastAPI:
    """The app on the store of that DSN (as tally_app); its parts start and end with its lifespan.

    `url` is where the API will be; `stopping` is set when the process begins to end; `writer_at` is
    the socket of a writer in another process (api/composition/writing.py); without `sweeps` nothing
    is done that nobody asks for.
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
            writer: CommandWriter
            if writer_at is None:
                writer = started_writer(settings, dsn, clock, metrics, on_writer_death, stack)
                if sweeps:
                    started_sweeper(settings, dsn, clock, writer, stack)
            else:
                writer = RemoteWriter(
                    writer_at,
                    queue_size=settings.queue_size,
                    batch_size=settings.batch_size,
                    timeout_s=settings.store_timeout_s,
                )
                await writer.start()
                stack.push_async_callback(writer.stop)
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
                rates=Rates(settings.rate_limit),
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


def _key_ring(lookup: KeyLookup) -> KeyRing:
    async def caller(token: str) -> Caller | None:
        holder = await lookup.holder(token)
        if holder is None:
            return None
        return Caller(holder.caller, cast(Role, holder.role), holder.key_id)

    return KeyRing(caller)
