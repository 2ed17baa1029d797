"""A primary dies, and its synchronous standby takes over: what was answered is there, once."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from infrastructure.announced_end import AnnouncedEnd
from infrastructure.embedded import EmbeddedPostgres
from infrastructure.embedded_place import make_private, run, server_user
from infrastructure.migrations import APP, migrate
from tests.faults.test_cut_lines import (
    assert_nothing_doubled_or_lost,
    prepare,
    under_load,
)
from tests.fixtures.fix_folders import open_folder
from tests.fixtures.fix_postgres import LEDGER, Store
from tests.fixtures.fix_processes import Api, Figure, Reply, Rest, System, reached
from tests.fixtures.fix_reconcile import checked
from tests.fixtures.fix_secrets import searched_tables
from tests.fixtures.fix_tally import until

PASSWORD = "of a test's own"
PAYMENTS = 300
"""Answered before the primary dies, and after it."""


class Pair(NamedTuple):
    primary: EmbeddedPostgres
    standby: EmbeddedPostgres


@contextmanager
def a_pair() -> Iterator[Pair]:
    """Of which the second has what the first has committed, before that is told to who asked."""
    with open_folder() as folder, EmbeddedPostgres(folder / "one") as primary:
        migrate(primary.owner_dsn, ledger=LEDGER, app_password=PASSWORD)
        copy = folder / "two"
        copy.mkdir(mode=0o711)
        shutil.copy2(folder / "one" / "owner-password", copy)
        make_private(copy / "pg", server_user())
        assert primary.bin is not None
        into = ["-D", copy / "pg", "--write-recovery-conf", "--checkpoint=fast"]
        copied = run(
            [primary.bin / "pg_basebackup", "-d", primary.owner_dsn, *into],
            user=server_user(),
            timeout_s=60,
        )
        assert copied.returncode == 0, copied.stderr
        with EmbeddedPostgres(copy) as standby:
            with psycopg.connect(primary.owner_dsn, autocommit=True) as owner:
                owner.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
                owner.execute("SELECT pg_reload_conf()")
                in_step = "SELECT FROM pg_stat_replication WHERE sync_state = 'sync'"
                until(lambda: owner.execute(in_step.encode()).fetchone() is not None)
            yield Pair(primary, standby)


def of_both(pair: Pair, **more: str) -> str:
    """A DSN that leads to the one of them that takes writes."""
    hosts = [str(conninfo_to_dict(server.owner_dsn)["host"]) for server in pair]
    return make_conninfo(
        pair.primary.owner_dsn,
        host=",".join(hosts),
        port="5432,5432",
        target_session_attrs="read-write",
        **more,
    )


Proof = Callable[[System, Rest, Api, dict[str, Reply]], Awaitable[None]]


def fail_over(
    tmp_path: Path, figure: Figure, proof: Proof, *, lost: Callable[[Pair], None] | None = None
) -> None:
    """The primary of a pair dies under load, the standby takes over; `proof` is asked at the end.

    `lost` has the standby lack what comes after it."""
    with ExitStack() as running:
        pair = running.enter_context(a_pair())
        store = Store(
            name="tally",
            ledger=LEDGER,
            owner_dsn=of_both(pair),
            app_dsn=of_both(pair, user=APP, password=PASSWORD),
        )
        running.enter_context(searched_tables(store.owner_dsn))
        system = System(store, tmp_path, running)
        api = system.api(TALLY_STORE_TIMEOUT_S="1", TALLY_SERVE_WORKERS="1")
        system.worker()

        async def test() -> None:
            async with system.rest() as rest:
                await prepare(rest, api)
                await rest.all(api, "/v1/balances")  # the workers are there
                over = False
                load = asyncio.create_task(under_load(rest, lambda: not over, api))
                events = 3 * PAYMENTS
                await reached(lambda: system.assert_positions_have_no_gap() > events)
                if lost:
                    lost(pair)
                    await reached(lambda: system.assert_positions_have_no_gap() > 2 * events)
                killed = pair.primary.pid
                assert killed is not None
                os.kill(killed, signal.SIGKILL)
                began = time.monotonic()
                with psycopg.connect(pair.standby.owner_dsn, autocommit=True) as owner:
                    owner.execute("SELECT pg_promote(wait => false)")
                    taken_over = "SELECT WHERE NOT pg_is_in_recovery()"
                    await reached(lambda: owner.execute(taken_over.encode()).fetchone() is not None)
                end = system.assert_positions_have_no_gap()
                await reached(lambda: system.assert_positions_have_no_gap() > end)
                figure("from a primary's end to the next append, s", time.monotonic() - began)
                await reached(lambda: system.assert_positions_have_no_gap() > end + events)
                over = True
                await proof(system, rest, api, await load)
                await rest.send(api, "GET", "/v1/status")  # may find that its connection is lost
                balances = {
                    one["account"]: one["posted"] for one in await rest.all(api, "/v1/balances")
                }
                assert sum(balances.values()) == 2 * balances["cash"]
                assert set(rest.troubles) <= {"store_unavailable"}

        asyncio.run(test())


@pytest.mark.slow
def test_a_failover_loses_nothing_that_was_answered_and_doubles_nothing(
    tmp_path: Path, figure: Figure
) -> None:
    async def proof(system: System, rest: Rest, api: Api, answers: dict[str, Reply]) -> None:
        await assert_nothing_doubled_or_lost(system, rest, api, answers)
        figure("payments answered before and after it", len(answers))

    fail_over(tmp_path, figure, proof)


@pytest.mark.slow
def test_after_a_failover_that_lost_something_no_more_is_wrong(
    tmp_path: Path, figure: Figure
) -> None:
    """The standby lacked some of it. The writer that lives on remembers that, and decides on what
    there is."""

    def stop_following(pair: Pair) -> None:
        with psycopg.connect(pair.primary.owner_dsn, autocommit=True) as owner:
            owner.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
            owner.execute("SELECT pg_reload_conf()")
        with psycopg.connect(pair.standby.owner_dsn, autocommit=True) as owner:
            owner.execute("ALTER SYSTEM SET primary_conninfo = ''")
            owner.execute("SELECT pg_reload_conf()")

    async def proof(system: System, rest: Rest, api: Api, answers: dict[str, Reply]) -> None:
        streams = {str(stream) for (stream,) in system.rows("SELECT stream FROM tally.events")}
        told = [each.body["id"] for each in answers.values() if each.status == 201]
        lost = sum(payment not in streams for payment in told)
        assert lost, "there is nothing to be proved"
        figure("payments that were answered, and lost", lost)
        assert checked(system.store).differences == []

    fail_over(tmp_path, figure, proof, lost=stop_following)


@pytest.mark.slow
def test_who_listens_to_a_standby_hears_of_events_when_it_takes_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test(standby: EmbeddedPostgres) -> None:
        announced = AnnouncedEnd(standby.owner_dsn)
        await announced.start()
        await reached(lambda: "listening for events failed" in caplog.text)
        with psycopg.connect(standby.owner_dsn, autocommit=True) as owner:
            owner.execute("SELECT pg_promote()")
        assert await announced.moved(30)
        await announced.stop()

    with a_pair() as pair:
        asyncio.run(test(pair.standby))
