"""One mirror at a time: a PostgreSQL advisory lock, and a heartbeat for who holds it.

For liveness alone: what keeps a second mirror from writing is the transactional id's fence. One
that holds the lock and is silent (paused, or cut off) has its session ended by the next.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Event, Thread
from typing import Any, Final

import psycopg
from psycopg import Connection

from infrastructure.connections import KEEPALIVES
from infrastructure.locks import MIRROR_LOCK

_LOCK: Final = (MIRROR_LOCK, 0)
_LOOK_S: Final = 0.5
_BEAT_S: Final = 0.5

_BEAT: Final = """
INSERT INTO tally.mirror AS m (position, seen_at) VALUES (0, clock_timestamp())
ON CONFLICT ((true)) DO UPDATE SET seen_at = excluded.seen_at
"""

_SILENT: Final = """
SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database
WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.objsubid = 2
  AND l.classid = %s AND l.objid = %s AND l.granted
  AND NOT EXISTS (
    SELECT FROM tally.mirror WHERE seen_at > clock_timestamp() - make_interval(secs => %s))
"""

_log = logging.getLogger("tally.kafka")


def connect(dsn: str) -> Connection[Any]:
    """In autocommit mode; what it writes is no truth, so nothing waits for the disk."""
    return psycopg.connect(
        dsn,
        autocommit=True,
        application_name="tally mirror",
        connect_timeout=5,
        **KEEPALIVES,
        options="-c TimeZone=UTC -c synchronous_commit=off -c statement_timeout=10s",
    )


def lead(connection: Connection[Any], *, takeover_s: float, stop: Event) -> bool:
    """Waits for the lock, which the connection then holds for its life; False once told to stop.

    A leader that was silent for `takeover_s` loses it.
    """
    began = time.monotonic()
    while not stop.is_set():
        locked = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", _LOCK).fetchone()
        if locked and locked[0]:
            return True
        # Who has just taken the lock hasn't beaten yet.
        if time.monotonic() - began > takeover_s:
            for (pid,) in connection.execute(_SILENT, (*_LOCK, takeover_s)).fetchall():
                _log.warning("the mirror with session %s is silent: taking over", pid)
                connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
        stop.wait(min(_LOOK_S, takeover_s / 4))
    return False


@contextmanager
def beating(dsn: str, *, takeover_s: float) -> Iterator[None]:
    """Tells that we live, from a thread of its own; a lost connection is made anew."""
    ended = Event()

    def beat() -> None:
        while not ended.is_set():
            try:
                with closing(connect(dsn)) as connection:
                    while not ended.is_set():
                        connection.execute(_BEAT)
                        ended.wait(min(_BEAT_S, takeover_s / 4))
            except psycopg.Error as error:
                _log.warning("no heartbeat: %s", type(error).__name__)
                ended.wait(_BEAT_S)

    thread = Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=5)


def tell_position(connection: Connection[Any], position: int) -> None:
    connection.execute("UPDATE tally.mirror SET position = %s, refused = NULL", (position,))


def tell_refusal(connection: Connection[Any], reason: str) -> None:
    connection.execute(
        "INSERT INTO tally.mirror AS m (position, seen_at, refused)"
        " VALUES (0, clock_timestamp(), %(reason)s)"
        " ON CONFLICT ((true)) DO UPDATE SET refused = excluded.refused",
        {"reason": reason},
    )
