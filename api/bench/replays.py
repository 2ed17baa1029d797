"""How fast what was recorded is read again: a projection that catches up, and one built anew."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import psycopg

from api.bench.cpu import Processes, shares
from api.bench.own import OwnLedger
from api.bench.results import Row
from api.bench.scenarios import REBUILD, REPLAY
from api.cli.output import CannotRun

PAYMENTS_AN_ACCOUNT: Final = 5
"""Of those that are read again."""
_READ_AGAIN: Final = ("balances", "statements", "payments")
_REBUILT: Final = "balances"
_WITHIN_S: Final = 120.0
_LOOK: Final = b"""
SELECT (SELECT position FROM tally.events ORDER BY position DESC LIMIT 1), min(position)
FROM tally_read.checkpoints JOIN tally_read.pointers USING (projection, generation)
WHERE projection = ANY(%s)
"""
_AT_WORK: Final = b"""
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = ANY(%s)
"""


class _Reached(NamedTuple):
    at: float
    used_s: dict[str, float]


def replayed(own: OwnLedger, dsn: str, reference: float | None) -> Row:
    """Three read models in one process, from where they stand to the end of the store.

    Measured from when their workers have a connection each: the first batch may be all there is.
    """
    with psycopg.connect(dsn, autocommit=True) as connection:

        def look() -> tuple[int, int]:
            row = connection.execute(_LOOK, (list(_READ_AGAIN),), prepare=True).fetchone()
            assert row is not None
            return row[0], row[1]

        def at_work() -> int:
            names = [f"tally {name}" for name in _READ_AGAIN]
            row = connection.execute(_AT_WORK, (names,), prepare=True).fetchone()
            assert row is not None
            return int(row[0])

        end, start = look()
        with own.projecting(dsn, _READ_AGAIN) as processes:
            began = _reach(at_work, len(_READ_AGAIN), processes)
            ended = _reach(lambda: look()[1], end, processes)
    took_s = ended.at - began.at
    return _row(
        REPLAY,
        ", ".join(_READ_AGAIN),
        (end - start) / took_s,
        shares(began.used_s, ended.used_s, took_s),
        reference,
    )


def rebuilt(own: OwnLedger, dsn: str, reference: float | None) -> Row:
    """One read model from the first event to the swap; told without the swap."""
    processes = Processes({REBUILD: os.getpid()}, own.server.pid)
    before, began = processes.used_s(), time.perf_counter()
    done = own.rebuilt(dsn, _REBUILT)
    cpu = shares(before, processes.used_s(), time.perf_counter() - began)
    return _row(REBUILD, _REBUILT, done.fill_rate, cpu, reference)


def _reach(look: Callable[[], int], wanted: int, processes: Processes) -> _Reached:
    give_up = time.monotonic() + _WITHIN_S
    while (found := look()) < wanted:
        if time.monotonic() > give_up:
            raise CannotRun(f"what is read again is at {found}, and did not come to {wanted}")
        time.sleep(0.01)
    return _Reached(time.perf_counter(), processes.used_s())


def _row(
    scenario: str, does: str, rate: float, cpu: dict[str, float], reference: float | None
) -> Row:
    return Row(
        scenario=scenario,
        setup="one process",
        does=does,
        connections=0,
        rate=rate,
        rates=[rate],
        ratio=rate / reference if reference else None,
        cpu=cpu,
    )
