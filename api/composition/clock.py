"""The clock of every process that decides."""

from datetime import UTC, datetime


def clock() -> datetime:
    return datetime.now(UTC)
