"""The ledger on its store."""

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
from infrastructure.mapper import EventMapper
from infrastructure.settings import Settings
from infrastructure.store import Datastore, LedgerRecorder, StoreFactory

WRITER_POOL: Final = 3
"""The writer's connection, one for its turn while a batch goes on, one for snapshots."""
FILL_BATCH: Final = 2_000
"""Commands of one commit of `record`."""


def opened_ledger(
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


def record(settings: Settings, commands: Iterable[Command], *, dsn: str) -> Iterator[int]:
    """Decides and records commands in order, without HTTP and many in a commit: how a store to
    measure on is filled. Gives how many are recorded, after each commit; none may be refused."""
    with ExitStack() as stack:
        ledger = opened_ledger(settings, dsn, clock, stack)
        recorded, waiting = 0, iter(commands)
        while batch := list(islice(waiting, FILL_BATCH)):
            for answer in ledger.commit(ledger.decide(batch)):
                assert not isinstance(answer, Exception), answer
                assert answer.refusal is None, answer
            yield (recorded := recorded + len(batch))
