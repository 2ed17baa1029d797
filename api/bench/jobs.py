"""What the process that makes the load is told, and what it tells: JSON over a pipe."""

from __future__ import annotations

from typing import Final

import msgspec

LINES: Final = 1_000
PAY_CODES: Final = "pay codes"
HOT: Final = "hot"
"""Ends the name of the account that `hot` pays to."""


class Crew(msgspec.Struct, frozen=True, kw_only=True):
    """Connections that do the same work."""

    does: str
    """A name of `requests.SCRIPTS`."""
    connections: int
    a_second: float | None = None
    """Requests in all, each at its time whatever became of those before (an open loop); without
    it each connection sends its next request once the last one is answered (a closed loop)."""
    at_most: int | None = None
    """Requests in all; without it as many as there is time for."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    key: str
    """Of a client."""
    run: str
    """Begins every idempotency key, so that no two jobs share one."""
    prefix: str
    """Begins the name of every account: `{prefix}0` and so on, and `{prefix}hot`."""
    accounts: int
    crews: list[Crew]
    warm_s: float
    """How long to go on before it counts."""
    seconds: float
    lines: int = LINES
    """Payments in one body of a bulk."""
    payments: list[str] = []
    """Ids that may be read."""
    codes: list[str] = []
    """Pay codes to pay by, each once: of the accounts in turn."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What one crew measured; `answers` counts all, the rest is of the measured time."""

    does: str
    answers: dict[str, int]
    """By status, of the lines where it is a bulk; those while it warmed up and ran out too."""
    rate: float
    """Commands or reads a second that were answered well."""
    requests: int
    """Answered in that time; without any there are no percentiles of how long one took."""
    p50_ms: float | None
    p99_ms: float | None
    p999_ms: float | None
    longest_ms: float | None


BEGUN = b"begun\n"
ENDED = b"ended\n"
"""Lines that frame the measured time; the third and last is the list of Done."""
