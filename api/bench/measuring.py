"""One measurement: a load from another process, and who used the processors meanwhile."""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from typing import Any, Final, NamedTuple

import msgspec

from api.bench.books import Books
from api.bench.cpu import Processes, shares
from api.bench.jobs import BEGUN, ENDED, LINES, PAY_CODES, Crew, Done, Job
from api.bench.lag import percentiles_ms, watching
from api.bench.scenarios import Case, Setup
from api.cli.client import Client, connected
from api.cli.itself import environment
from api.cli.output import CannotRun
from api.cli.product import Product

_PROGRAM: Final = (sys.executable, "-P", "-m", "api.bench.load")
_OPENERS: Final = 64
_FILLERS: Final = 4
_FILLING_S: Final = 600.0
_WARM_S: Final = 0.3
_WARMED: Final = 20_000
"""Payments after a start, to have the writer load its accounts."""
_CATCHES_UP_WITHIN_S: Final = 120.0
_PAYMENTS_READ: Final = 500
_CODES_LAST_S: Final = 300
_CODES_A_SECOND: Final = 5_000
"""Issued before they are paid by: no machine has come near yet."""


class Measured(NamedTuple):
    crews: list[Done]
    cpu: dict[str, float]
    """By process: how many processors it kept busy, on average, while it was measured."""
    behind_s: float | None = None
    """How long the read models took for the rest when the load had ended."""
    lag_ms: tuple[float, float] | None = None
    """From when an event can be seen in the store until all read models have it: p50 and p99."""


class Bench:
    """Measures a running product, and keeps its books."""

    def __init__(
        self,
        product: Product,
        processes: Processes,
        books: Books,
        *,
        accounts: int,
        prefix: str,
        seconds: float,
    ) -> None:
        self._product = product
        self._processes = processes
        self._books = books
        self._accounts = accounts
        self._prefix = prefix
        self._seconds = seconds

    def open_accounts(self) -> None:
        """Raises CannotRun where they can't be."""
        opened = self._load([Crew(does="openings", connections=_OPENERS)], 0, _FILLING_S)
        answers = opened.crews[0].answers
        if set(answers) != {"201"}:
            raise CannotRun(f"the accounts could not be opened; answers by status: {answers}")

    def warm_up(self) -> None:
        """Pays with each account once, or with the first ones of many."""
        warming = Crew(does="pairs", connections=_OPENERS, at_most=_WARMED)
        self._load([warming], 0, _FILLING_S)

    def fill(self, payments: int) -> None:
        """So many and a few more, in bulks, whatever time they take."""
        bodies = payments // LINES + 1
        self._load([Crew(does="bulk", connections=_FILLERS, at_most=bodies)], 0, _FILLING_S)

    def measure(self, case: Case, *, dsn: str | None) -> Measured:
        """`dsn` is the store's, for what has to look at it."""
        with watching(dsn) if dsn and case.lag else nullcontext() as watched:
            measured = self._load(case.crews, _WARM_S, self._seconds)
        if case.setup in (Setup.WORKERS, Setup.GIVEN):
            measured = measured._replace(behind_s=self.caught_up_s())
        if watched is not None:
            lags = watched.read_models.after_ms(watched.stored)
            measured = measured._replace(lag_ms=percentiles_ms(lags))
        return measured

    def caught_up_s(self) -> float:
        """Waits until the read models have what the store has now, and says how long it took.

        Raises CannotRun where they don't come to it.
        """
        began = time.monotonic()
        end = None
        while True:
            status = ask(self._product, "/v1/status")
            end = end or status["end"]
            if all(each["position"] >= end for each in status["projections"].values()):
                return time.monotonic() - began
            if time.monotonic() - began > _CATCHES_UP_WITHIN_S:
                raise CannotRun(f"the read models are not at {end} yet: {status['projections']}")
            time.sleep(0.02)

    def _load(self, crews: Sequence[Crew], warm_s: float, seconds: float) -> Measured:
        does = {crew.does for crew in crews}
        product = self._product
        codes = self._codes(int(_CODES_A_SECOND * (warm_s + seconds))) if PAY_CODES in does else []
        job = Job(
            url=product.url,
            key=product.key_of_admin() if "openings" in does else product.key,
            run=secrets.token_hex(6),
            prefix=self._prefix,
            accounts=self._accounts,
            crews=list(crews),
            warm_s=warm_s,
            seconds=seconds,
            payments=self._payments() if "reads" in does else [],
            codes=codes,
        )
        measured = loaded(job, self._processes)
        self._books.answered(measured.crews)
        if codes:
            # Used up, before they are over: that would be an event that no answer tells of.
            used = sum(sum(crew.answers.values()) for crew in measured.crews)
            rest = msgspec.structs.replace(
                job, run=secrets.token_hex(6), codes=codes[used:], warm_s=0, seconds=_FILLING_S
            )
            self._books.answered(loaded(rest, self._processes).crews)
        return measured

    def _payments(self) -> list[str]:
        items = ask(self._product, f"/v1/payments?limit={_PAYMENTS_READ}")["items"]
        return [item["id"] for item in items]

    def _codes(self, count: int) -> list[str]:
        """Issues so many, of the accounts in turn."""
        run, openers = secrets.token_hex(6), asyncio.Semaphore(_OPENERS)

        async def issued(client: Client, number: int) -> str:
            account = f"{self._prefix}{number % self._accounts}"
            code = {"debit_account": account, "currency": "EUR", "max_amount": 1}
            body = msgspec.json.encode({**code, "expires_in_s": _CODES_LAST_S})
            async with openers:
                reply = await client.send("/v1/pay-codes", f"{run}-{number}", body)
            if not reply.ok:
                raise CannotRun(f"a pay code could not be issued: {reply.status} {reply.code}")
            return str(msgspec.json.decode(reply.body)["code"])

        async def all_issued() -> list[str]:
            async with connected(self._product, connections=_OPENERS) as client:
                return await asyncio.gather(*(issued(client, number) for number in range(count)))

        codes = asyncio.run(all_issued())
        self._books.count("issued codes", {"201": count})
        return codes


def ask(product: Product, path: str) -> Any:
    """The answer to a GET."""

    async def asked() -> Any:
        async with connected(product) as client:
            return await client.get(path)

    return asyncio.run(asked())


def loaded(job: Job, processes: Processes) -> Measured:
    """Does a job in a process of its own. Raises CannotRun where it breaks off."""
    with ExitStack() as stack:
        load = stack.enter_context(
            subprocess.Popen(  # noqa: S603 (ourselves)
                _PROGRAM,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment(),
                # Out of reach of a Ctrl-C, which is for us: then we end it.
                start_new_session=True,
            )
        )
        stack.callback(load.kill)
        assert load.stdin is not None
        assert load.stdout is not None
        load.stdin.write(msgspec.json.encode(job))
        load.stdin.close()
        begun = load.stdout.readline()
        began, before = time.perf_counter(), processes.used_s(load=load.pid, bench=os.getpid())
        ended = load.stdout.readline()
        took_s = time.perf_counter() - began
        after = processes.used_s(load=load.pid, bench=os.getpid())
        told = load.stdout.read()
        load.wait()
    if (begun, ended) != (BEGUN, ENDED) or load.returncode:
        raise CannotRun("the load broke off; what it said, if anything, is above")
    return Measured(
        msgspec.json.decode(told, type=list[Done]),
        shares(before, after, took_s),
    )
