"""Where a key goes is for ever, and is what every client of Kafka computes."""

from __future__ import annotations

import kafka.partitioner
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrastructure.kafka.topics import PARTITIONS, murmur2, partition_of


@given(st.binary(max_size=100))
def test_the_hash_is_kafkas(data: bytes) -> None:
    assert murmur2(data) == kafka.partitioner.murmur2(data)


@pytest.mark.parametrize(
    ("key", "partition"),
    [
        ("customers:alice", 1),
        ("clearing:cash", 9),
        ("kiosk:ünïcödé", 4),
        ("6f0f3c52-6a3e-5a54-8f2c-1c8a5d2b7e90", 11),
    ],
)
def test_a_key_never_moves(key: str, partition: int) -> None:
    assert PARTITIONS == 12
    assert partition_of(key) == partition
