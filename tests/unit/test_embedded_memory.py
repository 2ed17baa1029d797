"""The embedded PostgreSQL takes its share of the machine, or of the container that it is in."""

from __future__ import annotations

from pathlib import Path

import pytest

from infrastructure.embedded_memory import machine_mb, shared_buffers_mb


@pytest.mark.parametrize(
    ("machine", "buffers"),
    [(512, 128), (2_048, 128), (4_096, 256), (8_000, 500), (16_384, 1_024), (262_144, 1_024)],
)
def test_a_sixteenth_within_bounds(machine: int, buffers: int) -> None:
    assert shared_buffers_mb(machine) == buffers


def test_a_container_has_what_it_is_given(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    whole = machine_mb(limit)
    assert whole > 256
    limit.write_text("max\n")
    assert machine_mb(limit) == whole
    limit.write_text(f"{256 * 1024 * 1024}\n")
    assert machine_mb(limit) == 256
    limit.write_text(f"{1 << 62}\n")
    assert machine_mb(limit) == whole
