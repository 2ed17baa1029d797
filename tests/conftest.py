"""Fixtures live by topic in tests/fixtures/fix_*.py; each file is a plugin."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# On a busy machine an example may take any time.
settings.register_profile(
    "untimed", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("untimed")

pytest_plugins = [
    f"tests.fixtures.{file.stem}"
    for file in sorted((Path(__file__).parent / "fixtures").glob("fix_*.py"))
]
# Before the first of them imports another.
pytest.register_assert_rewrite(*pytest_plugins)
