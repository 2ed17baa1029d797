"""The two topics of a ledger: what they are called, where a key goes, and how they must be."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing, suppress
from functools import lru_cache
from struct import unpack
from typing import Any, Final, NamedTuple

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import TopicAlreadyExistsError, for_code

from infrastructure.cannot_start import CannotStart
from infrastructure.kafka.clients import KafkaClients, away

PARTITIONS: Final = 12
"""For ever: another count would send a key's later events elsewhere."""

_SEED: Final = 0x9747B28C
_FACTOR: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF

_EVENTS: Final = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "message.timestamp.type": "CreateTime",
}
_PROGRESS: Final = {
    "cleanup.policy": "compact",
    "message.timestamp.type": "CreateTime",
    # Small segments: what is compacted away is found soon, and the newest record fast.
    "segment.bytes": str(1 << 20),
    "min.cleanable.dirty.ratio": "0.1",
}


_MUST_BE: Final = frozenset(
    ("cleanup.policy", "retention.ms", "retention.bytes", "message.timestamp.type")
)
"""An existing topic is refused where it has another value: events would be lost, or not found."""


class TopicRefused(CannotStart):
    """A topic is not as it must be: names the topic, what it has and what it should have."""


class Topics(NamedTuple):
    events: str
    progress: str


def topics_of(ledger: str) -> Topics:
    return Topics(f"tally.{ledger}.events.v1", f"tally.{ledger}.progress.v1")


@lru_cache(maxsize=100_000)
def partition_of(key: str) -> int:
    """Kafka's default: murmur2 of the key's UTF-8, its sign bit dropped, modulo the partitions."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % PARTITIONS


def murmur2(data: bytes) -> int:
    """Kafka's hash of keys (org.apache.kafka.common.utils.Utils.murmur2), by words.

    The library's goes by bytes: four times as long, and no payment's key ever comes again.
    """
    whole = len(data) & ~3
    hashed = _SEED ^ len(data)
    for word in unpack(f"<{whole // 4}I", data[:whole]):
        mixed = word * _FACTOR & _MASK
        hashed = (hashed * _FACTOR & _MASK) ^ ((mixed ^ mixed >> 24) * _FACTOR & _MASK)
    if whole < len(data):
        hashed = (hashed ^ int.from_bytes(data[whole:], "little")) * _FACTOR & _MASK
    hashed = (hashed ^ hashed >> 13) * _FACTOR & _MASK
    return hashed ^ hashed >> 15


def ensure_topics(
    clients: KafkaClients,
    topics: Topics,
    *,
    replication_factor: int | None,
    min_insync_replicas: int | None,
) -> None:
    """Makes what is missing; None leaves it to the broker's defaults. Raises TopicRefused."""
    replicas = {} if min_insync_replicas is None else {"min.insync.replicas": min_insync_replicas}
    with closing(clients.admin()) as admin:
        known = set(admin.list_topics())
        for name, partitions, configuration in _wanted(topics):
            if name not in known:
                _create(
                    admin,
                    name,
                    num_partitions=partitions,
                    replication_factor=replication_factor or -1,
                    configs={key: str(value) for key, value in (configuration | replicas).items()},
                )
            _check(admin, name, partitions, configuration)


def check_topics(clients: KafkaClients, topics: Topics) -> None:
    """Raises TopicRefused where one is missing, or is not as it must be; FeedAway."""
    with away(), closing(clients.admin()) as admin:
        known = set(admin.list_topics())
        for name, partitions, configuration in _wanted(topics):
            if name not in known:
                raise TopicRefused(f"the topic {name} is missing: start `tally mirror`")
            _check(admin, name, partitions, configuration)


def _wanted(topics: Topics) -> tuple[tuple[str, int, dict[str, str]], ...]:
    return ((topics.events, PARTITIONS, _EVENTS), (topics.progress, 1, _PROGRESS))


def _create(admin: KafkaAdminClient, name: str, **options: Any) -> None:
    # Another mirror may be faster.
    with suppress(TopicAlreadyExistsError):
        admin.create_topics({name: options}, wait_for_metadata=True)


def _check(
    admin: KafkaAdminClient, name: str, partitions: int, configuration: Mapping[str, str]
) -> None:
    (found,) = admin.describe_topics([name])
    if found["error_code"]:
        # As from a broker that hasn't heard of a new topic: to be asked again, not to be refused.
        raise for_code(found["error_code"])(name)
    if len(found["partitions"]) != partitions:
        raise TopicRefused(
            f"the topic {name} has {len(found['partitions'])} partitions, not {partitions}: "
            "delete it, and it is made anew"
        )
    resource = ConfigResource(ConfigResourceType.TOPIC, name, configs=dict.fromkeys(_MUST_BE))
    described = admin.describe_configs([resource], config_filter="all")["topic"][name]
    for key in _MUST_BE & configuration.keys():
        if described[key]["value"] != configuration[key]:
            raise TopicRefused(
                f"the topic {name} has {key}={described[key]['value']}: "
                f"set it to {configuration[key]}"
            )
