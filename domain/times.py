"""How a time is written: RFC 3339 in UTC, six decimals and `Z`."""

from datetime import UTC, datetime
from functools import lru_cache


@lru_cache(maxsize=64)  # a batch has one time, told with every payment
def time_text(at: datetime) -> str:
    """`2026-11-23T09:30:00.000000Z`, for an aware datetime of any zone."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
