"""Clients of the broker that the settings name, each with a time limit on all that has one.

kafka-python has calls without any (a commit, an abort, a close): see watchdog.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from infrastructure.settings import Settings
from projections.feed import FeedAway

_BATCH_BYTES: Final = 524_288
"""Of a partition, sent together: with the library's 16 KB the mirror is half as fast."""
_LINGER_MS: Final = 100
"""A transaction is flushed once all of it is there: batches sent before that are small ones, and
cost a fifth of the mirror's time (measured at 5 and at 500 ms: 54 and 42 µs an event)."""
_RETRY_MS: Final = 10
"""A transaction that begins while the broker still ends the one before is told to come again:
with the library's 100 ms, one in twenty lost those."""
_BOOTSTRAP_MS: Final = 5_000
"""A process that waits for a broker still stops when it is asked to."""
_QUIET: Final = {"allow_auto_create_topics": False, "metrics_enabled": False}


class KafkaClients:
    """Raises the library's KafkaError where no broker answers."""

    def __init__(self, settings: Settings) -> None:
        assert settings.kafka_bootstrap is not None
        self.timeout_s = settings.kafka_timeout_s
        self._timeout_ms = round(self.timeout_s * 1000)
        password = settings.kafka_sasl_password
        self._common: dict[str, Any] = {
            "bootstrap_servers": settings.kafka_bootstrap.split(","),
            "client_id": "tallystick",
            "bootstrap_timeout_ms": min(self._timeout_ms, _BOOTSTRAP_MS),
            "request_timeout_ms": self._timeout_ms,
            "reconnect_backoff_max_ms": 1000,
            "security_protocol": settings.kafka_security_protocol,
            "ssl_cafile": _path(settings.kafka_ca_file),
            "ssl_certfile": _path(settings.kafka_certificate_file),
            "ssl_keyfile": _path(settings.kafka_key_file),
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_sasl_username,
            "sasl_plain_password": password.get_secret_value() if password else None,
        }

    def consumer(self, *, committed: bool = True) -> KafkaConsumer:
        """Of no group: partitions are assigned, positions are ours to keep."""
        return KafkaConsumer(
            **self._common,
            **_QUIET,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed" if committed else "read_uncommitted",
        )

    def producer(self, transactional_id: str) -> KafkaProducer:
        """Fences whoever had the same transactional id, once its transactions are begun."""
        return KafkaProducer(
            **self._common
            | _QUIET
            | {
                # A batch that isn't there after this is lost, and its transaction is over.
                "request_timeout_ms": self._timeout_ms // 2,
                "delivery_timeout_ms": self._timeout_ms // 2 + _LINGER_MS,
            },
            transactional_id=transactional_id,
            transaction_timeout_ms=self._timeout_ms,
            max_block_ms=self._timeout_ms,
            acks="all",
            compression_type="lz4",
            batch_size=_BATCH_BYTES,
            linger_ms=_LINGER_MS,
            retry_backoff_ms=_RETRY_MS,
        )

    def admin(self) -> KafkaAdminClient:
        return KafkaAdminClient(**self._common)


def begin(producer: KafkaProducer, partitions: Iterable[TopicPartition]) -> None:
    """Begins a transaction that these partitions take part in, with records or without.

    The broker is told of all of them at once: told by their records, it is asked twice (measured:
    1.9 times a transaction), and the second waits for the first. No public call of the library
    does that.
    """
    producer.begin_transaction()
    for partition in partitions:
        producer._transaction_manager.maybe_add_partition_to_transaction(partition)


@contextmanager
def away() -> Iterator[None]:
    """Turns the library's errors into FeedAway."""
    try:
        yield
    except KafkaError as error:
        raise FeedAway(f"Kafka can't be read: {type(error).__name__}: {error}") from error


def _path(path: Any) -> str | None:
    return None if path is None else str(path)
