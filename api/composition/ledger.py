"""The ledger on its store."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, ExitStack
from itertools import islice
from typing import Final

from api.composition.clock import clock
from application.attempts import AttemptLimits
from application.commands import Command
from application.ledger import Ledger
from application.ports import Clock
from application.snapshots import Snapshots
from infrastructure.copied_store import CopiedStoreFactory, copied_into
from infrastructure.mapper import EventMapper
from infrastructure.settings import Settings
from infrastructure.store import Datastore, LedgerRecorder, StoreFactory
from projections.worker import collect_rarely

WRITER_POOL: Final = 3
"""The writer's connection, one for its turn while a batch goes on, one for snapshots."""
FILL_BATCH: Final = 2_000
"""Commands that `filled` decides together."""


def opened_ledger(
    settings: Settings, dsn: str, clock: Clock, stack: AsyncExitStack | ExitStack
) -> Ledger:
    """With its snapshots; the stack closes it."""
    datastore = Datastore(dsn, pool_size=WRITER_POOL, timeout_s=settings.store_timeout_s)
    snapshots = Snapshots(
        LedgerRecorder(datastore), EventMapper(), interval=settings.snapshot_interval
    )
    ledger = _ledger(settings, StoreFactory(datastore), snapshots, clock)
    stack.callback(ledger.close)
    snapshots.start()
    stack.callback(snapshots.stop)
    return ledger


def filled(settings: Settings, commands: Iterable[Command], *, owner_dsn: str) -> Iterator[int]:
    """Fills an empty store with what these commands come to: how one to measure on is made.

    Gives how many are decided, batch by batch; all of it is there at the end, and none may be
    refused. `settings.cache_accounts` has to be enough for all accounts. Raises NotEmpty.
    """
    collect_rarely()
    with ExitStack() as stack:
        copy = stack.enter_context(copied_into(owner_dsn))
        datastore = Datastore(owner_dsn, pool_size=1, timeout_s=settings.store_timeout_s)
        # None of an account comes due: there is nothing to be read before the end.
        snapshots = Snapshots(LedgerRecorder(datastore), EventMapper(), interval=sys.maxsize)
        ledger = _ledger(settings, CopiedStoreFactory(datastore, copy), snapshots, clock)
        stack.callback(ledger.close)
        decided, waiting = 0, iter(commands)
        while batch := list(islice(waiting, FILL_BATCH)):
            for answer in ledger.commit(ledger.decide(batch)):
                assert not isinstance(answer, Exception), answer
                assert answer.refusal is None, answer
            yield (decided := decided + len(batch))


def _ledger(
    settings: Settings, factory: StoreFactory, snapshots: Snapshots, clock: Clock
) -> Ledger:
    return Ledger(
        ledger=settings.ledger,
        factory=factory,
        clock=clock,
        snapshots=snapshots,
        cache_accounts=settings.cache_accounts,
        attempt_limits=AttemptLimits(settings.attempts_per_caller, settings.attempts_per_account),
    )
