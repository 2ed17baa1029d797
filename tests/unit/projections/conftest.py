from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from projections.feed import Record


@pytest.fixture
def unknown() -> Record:
    """An event of a type that this version doesn't know."""
    event = SimpleNamespace(
        TOPIC="tally.account.sung.v1",
        originator_version=1,
        timestamp=datetime(2026, 11, 23, tzinfo=UTC),
    )
    return Record(1, 0, 0, cast(Any, event))
