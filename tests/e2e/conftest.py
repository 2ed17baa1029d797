"""Real products keep their data where their server can reach them, also as root."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.fix_folders import open_folder


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In place of pytest's."""
    with open_folder() as folder:
        yield folder
