"""A time limit on steps that have none of their own.

kafka-python's `commit_transaction`, `abort_transaction` and `close` can hang for ever where a
connection fails at the wrong moment. Nothing in the process can then be trusted to go on: it ends,
and its supervisor starts it afresh.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, Thread
from time import monotonic

from infrastructure.cannot_start import TRY_AGAIN

_log = logging.getLogger("tally.kafka")


def end_process(step: str) -> None:
    _log.critical("%s took too long: this process ends and is to be started afresh", step)
    logging.shutdown()
    os._exit(TRY_AGAIN)


class Watchdog:
    """Watches one step at a time, from a thread of its own."""

    def __init__(self, on_expiry: Callable[[str], None] = end_process) -> None:
        self._on_expiry = on_expiry
        self._changed = Condition()
        self._step = ""
        self._ends_at: float | None = None
        Thread(target=self._watch, name="watchdog", daemon=True).start()

    @contextmanager
    def within(self, seconds: float, step: str) -> Iterator[None]:
        """What is done in here must be done within that time."""
        self._set(step, monotonic() + seconds)
        try:
            yield
        finally:
            self._set("", None)

    def _set(self, step: str, ends_at: float | None) -> None:
        with self._changed:
            self._step, self._ends_at = step, ends_at
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while True:
                left_s = None if self._ends_at is None else self._ends_at - monotonic()
                if left_s is not None and left_s <= 0:
                    self._on_expiry(self._step)
                    self._ends_at = None
                else:
                    self._changed.wait(left_s)
