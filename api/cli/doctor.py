"""`tally doctor`: what keeps a ledger from running well, and what to do about it."""

import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import Connection

from api.cli.folder import Folder
from api.cli.output import AsJson, CannotRun, answer_is_no, out, print_json, table
from api.cli.product import DataOption
from api.cli.standings import mirror_refusal, standings
from api.cli.store import connect, opened_store, secrets_of
from api.composition.clock import clock
from api.composition.mirror import check_kafka
from domain.times import time_text
from infrastructure.cannot_start import CannotStart
from infrastructure.secret import accept_secret
from infrastructure.settings import Settings
from infrastructure.start_checks import (
    check_durability,
    check_ledger,
    check_migrated,
    check_privileges,
)
from projections.feed import FeedAway

_LEAST_FREE_BYTES: Final = 1_000_000_000
_MOST_SKEW: Final = timedelta(seconds=2)
_MOST_LAG: Final = 10_000
_VERSIONS: Final = range(15, 19)


class Finding(NamedTuple):
    check: str
    ok: bool
    found: str
    do: str | None = None
    """What to do where it is not well."""


def doctor(data: DataOption = None, as_json: AsJson = False) -> None:
    """Looks at what a ledger needs; 1 where something is not well, with what to do."""
    findings = [
        finding._replace(do=None) if finding.ok else finding
        for finding in _findings(Settings.load(data=data))
    ]
    if as_json:
        well = all(finding.ok for finding in findings)
        print_json({"well": well, "checks": [finding._asdict() for finding in findings]})
    else:
        shown = table("", "check", "found", "what to do")
        for finding in findings:
            mark = "[green]✓[/green]" if finding.ok else "[red]✗[/red]"
            shown.add_row(mark, finding.check, finding.found, finding.do or "")
        out.print(shown)
    if not all(finding.ok for finding in findings):
        raise answer_is_no()


def _findings(settings: Settings) -> Iterator[Finding]:
    yield _python()
    yield from _folder(settings)
    with ExitStack() as stack:
        try:
            conn = stack.enter_context(connect(stack.enter_context(opened_store(settings))))
        except (CannotStart, psycopg.OperationalError) as error:
            reason = str(error).splitlines()[0]
            do = None if isinstance(error, CannotRun) else "start it, or correct TALLY_DSN"
            yield Finding("PostgreSQL", False, reason, do)
            return
        yield from _store(settings, conn)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", sys.version_info >= (3, 11), version, "use Python 3.11 or later")


def _folder(settings: Settings) -> Iterator[Finding]:
    folder = Folder(settings.data)
    if not folder.path.exists():
        return
    free = shutil.disk_usage(folder.path).free
    yield Finding(
        "disk space",
        free >= _LEAST_FREE_BYTES,
        f"{free / 1e9:,.1f} GB free in {settings.data}",
        "make room: a ledger only grows, and stops when the disk is full",
    )
    for file in folder.private_files:
        if file.exists():
            mode = stat.S_IMODE(file.stat().st_mode)
            yield Finding(
                file.name, not mode & 0o077, f"mode {mode:04o}", f"chmod 600 {file}: others read it"
            )


def _store(settings: Settings, conn: Connection[Any]) -> Iterator[Finding]:
    major = conn.info.server_version // 10_000
    yield Finding("PostgreSQL", major in _VERSIONS, f"version {major}", "use PostgreSQL 15 to 18")
    yield _checked("durability", lambda: check_durability(conn))
    migrated = _checked("migrations", lambda: check_migrated(conn))
    yield migrated
    if not migrated.ok:
        return
    yield _checked("ledger", lambda: check_ledger(conn, settings.ledger), settings.ledger)
    yield _checked("role", lambda: check_privileges(conn), "may not change events")
    yield _checked("secret", lambda: _accept_secret(settings, conn), "that of this store")
    yield _clock(conn)
    yield from _read_models(settings, conn)
    if settings.kafka_bootstrap is not None:
        yield from _kafka(settings, conn)


def _checked(check: str, run: Callable[[], None], found: str = "as it should be") -> Finding:
    try:
        run()
    except (CannotStart, FeedAway) as error:
        told, _, do = str(error).partition(": ")
        return Finding(check, False, told, do)
    return Finding(check, True, found)


def _accept_secret(settings: Settings, conn: Connection[Any]) -> None:
    """As a start would, but a look changes nothing."""
    with conn.transaction(force_rollback=True):
        accept_secret(conn, secrets_of(settings))


def _clock(conn: Connection[Any]) -> Finding:
    row = conn.execute(
        "SELECT clock_timestamp(), (SELECT recorded_at FROM tally.events"
        " ORDER BY position DESC LIMIT 1)"
    ).fetchone()
    assert row is not None
    there, last = row
    here = clock()
    skew = abs(here - there)
    ahead = last is not None and last > here + _MOST_SKEW
    found = f"{skew.total_seconds():.3f} s from the database's"
    if ahead:
        found = f"behind the last event, of {time_text(last)}"
    do = "let NTP keep the clocks of all machines: recorded times never step back, so they wait"
    return Finding("clock", skew <= _MOST_SKEW and not ahead, found, do)


def _read_models(settings: Settings, conn: Connection[Any]) -> Iterator[Finding]:
    row = conn.execute("SELECT coalesce(max(position), 0) FROM tally.events").fetchone()
    assert row is not None
    running = Folder(settings.data).server() is not None
    for name, position, halted, _ in standings(conn):
        lag = max(row[0] - position, 0)
        found = f"halted at {halted}" if halted else f"position {position:,}, lag {lag:,}"
        do = f"see docs/operations.md; then `tally rebuild {name}`"
        if not halted:
            do = "look at its log" if running else "start `tally up` or `tally project`"
        yield Finding(name, not halted and lag <= _MOST_LAG, found, do)


def _kafka(settings: Settings, conn: Connection[Any]) -> Iterator[Finding]:
    yield _checked("Kafka", lambda: check_kafka(settings))
    refused = mirror_refusal(conn)
    yield Finding(
        "mirror",
        refused is None,
        f"refuses to run: {refused}" if refused else "nothing stops it",
        "see docs/operations.md, Kafka",
    )
