"""How often a caller may ask: off unless `TALLY_RATE_LIMIT` is set."""

from __future__ import annotations

import time
from collections.abc import Callable


class Rates:
    """A token bucket for each caller, which holds a second's worth of requests."""

    def __init__(
        self, per_s: int | None, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`per_s` requests a second; None is no limit."""
        self._per_s = per_s
        self._monotonic = monotonic
        self._buckets: dict[str, tuple[float, float]] = {}
        """By caller: what is left of it, and as of when."""

    def take(self, caller: str) -> bool:
        """Whether the caller may ask once more; it has then."""
        if self._per_s is None:
            return True
        now = self._monotonic()
        left, since = self._buckets.get(caller, (self._per_s, now))
        left = min(self._per_s, left + (now - since) * self._per_s)
        may = left >= 1
        self._buckets[caller] = (left - 1 if may else left), now
        return may
