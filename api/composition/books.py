"""What proves the books."""

from collections.abc import Callable
from contextlib import ExitStack

from application.ports import StoredSnapshot
from application.snapshots import Snapshots
from infrastructure import reconcile as reconciling
from infrastructure.kafka.clients import KafkaClients
from infrastructure.kafka.topics import topics_of
from infrastructure.mapper import EventMapper, UnknownEventType, UnreadablePayload
from infrastructure.reconcile import Report
from infrastructure.settings import Settings
from infrastructure.store import Datastore, LedgerRecorder


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

        def differs(snapshot: StoredSnapshot) -> bool:
            try:
                return snapshots.differs(snapshot)
            except (UnknownEventType, UnreadablePayload):
                return True

        return reconciling.reconcile(
            dsn, snapshot_differs=differs, mirror=mirror, progress=progress
        )
