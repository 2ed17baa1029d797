"""A whole benchmark: rounds in which everything is measured once, one after the other, so that
what the machine does to one it does to all."""

from __future__ import annotations

import secrets
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from api.bench.books import Books, Proof
from api.bench.cpu import Processes
from api.bench.filling import EVENTS_A_PAYMENT, commands
from api.bench.machine import all_at_once, file_system, machine
from api.bench.measuring import Bench, Measured, ask
from api.bench.own import OwnLedger, Running, own_ledger
from api.bench.pgbench import Pgbench
from api.bench.replays import PAYMENTS_AN_ACCOUNT, rebuilt, replayed
from api.bench.results import Results, Row, Takes, rows_of
from api.bench.scenarios import REBUILD, REPLAY, Case, Setup, cases
from api.cli.product import Product
from api.composition.clock import clock
from api.openapi import product_version
from domain.times import time_text
from infrastructure.embedded import DATABASE
from projections.registry import PROJECTIONS

CLIENTS: Final = (8, 32)
"""Of pgbench: on a small machine it does best with one of them."""
_PREFIX: Final = "bench:"
_SETTINGS: Final = {Setup.ONE_COMMIT: {"TALLY_BATCH_SIZE": "1"}}

Step = Callable[[str], None]
"""Told what is begun."""


class Plan(NamedTuple):
    scenarios: Sequence[str]
    setups: Sequence[Setup]
    pgbench: bool
    seconds: float
    rounds: int
    connections: int
    accounts: int
    events: int
    """Of payments, that the store holds before."""

    @property
    def cases(self) -> list[Case]:
        return cases(self.scenarios, self.setups, self.connections)

    @property
    def reads_again(self) -> bool:
        return REPLAY in self.scenarios or REBUILD in self.scenarios

    @property
    def steps(self) -> int:
        """How often a Step is told something."""
        if Setup.GIVEN in self.setups:
            return 1 + self.rounds * len(self.cases) + 1
        compared = len(CLIENTS) if self.pgbench else 0
        before, a_round = 2 + len(PROJECTIONS), 1 + compared + len(self.cases)
        return before + self.rounds * a_round + self.reads_again + 1


class _Found:
    """What a run has found so far."""

    def __init__(self) -> None:
        self.measured: dict[Case, list[Measured]] = defaultdict(list)
        self.pgbench: dict[int, list[float]] = defaultdict(list)
        self.all_at_once: list[float] = []
        self.again: list[Row] = []
        self.starts_s: dict[str, list[float]] = defaultdict(list)
        self.memory_mb: dict[str, dict[str, float]] = {}
        self.event_bytes: dict[str, float] = {}
        self.books: dict[str, Proof] = {}

    @property
    def reference(self) -> float | None:
        return max(map(statistics.median, self.pgbench.values()), default=None)

    def results(self, plan: Plan, on: dict[str, str | int]) -> Results:
        return Results(
            version=product_version(),
            at=time_text(clock()),
            machine=on,
            seconds=plan.seconds,
            rounds=plan.rounds,
            accounts=plan.accounts,
            events=plan.events,
            pgbench={str(n): statistics.median(rates) for n, rates in self.pgbench.items()},
            T=self.reference,
            rows=[
                row
                for case in plan.cases
                for row in rows_of(case, self.measured[case], self.reference)
            ]
            + self.again,
            takes={
                name: Takes(
                    start_s=statistics.median(self.starts_s[name]),
                    memory_mb=memory_mb,
                    event_bytes=self.event_bytes[name],
                )
                for name, memory_mb in self.memory_mb.items()
            },
            books=self.books,
        )


def on_own_ledger(plan: Plan, step: Step) -> Results:
    """On an embedded server of its own, gone afterwards. Raises CannotRun."""
    with own_ledger() as own:
        run = _OwnRun(own, plan, step)
        run.prepare()
        for number in range(1, plan.rounds + 1):
            run.round(number)
        if plan.reads_again:
            run.read_again()
        run.prove()
        worth = statistics.median(run.found.all_at_once)
        on = {
            **machine(),
            "all at once": f"{worth:.2f} times one",
            "file system": file_system(own.folder.path),
            "postgresql": own.server.version,
        }
        return run.found.results(plan, on)


class _Store(NamedTuple):
    name: str
    dsn: str
    books: Books


class _OwnRun:
    def __init__(self, own: OwnLedger, plan: Plan, step: Step) -> None:
        self.found = _Found()
        self._own = own
        self._plan = plan
        self._step = step
        self._filled = 0
        self._stores: dict[Setup, _Store] = {}
        self._others: list[_Store] = []
        self._pgbench: Pgbench | None = None

    def prepare(self) -> None:
        """Fills the first store, then copies it for each setup.

        The read models are there; where no worker runs they stay where they are.
        """
        plan, dsn = self._plan, self._own.dsn(DATABASE)
        payments = plan.events // EVENTS_A_PAYMENT
        filling = commands(
            ledger=self._own.ledger, prefix=_PREFIX, accounts=plan.accounts, payments=payments
        )
        self._begin("a store is filled")
        for _ in self._own.filled(DATABASE, filling, accounts=plan.accounts + 1):
            self._own.check_on()
        for name in PROJECTIONS:
            self._begin(f"a store is filled: {name}")
            self._filled = self._own.rebuilt(dsn, name).position
        self._begin("stores are copied")
        used = {case.setup for case in self._plan.cases}
        self._stores = {each: self._copied(each) for each in self._plan.setups if each in used}
        if self._plan.pgbench:
            database = self._own.owner_dsn(self._own.database())
            self._pgbench = Pgbench(self._own.server, database)

    def round(self, number: int) -> None:
        self._begin(f"{number}. round: the processors alone and all at once")
        self.found.all_at_once.append(all_at_once(self._plan.seconds / 4))
        if self._pgbench is not None:
            for clients in CLIENTS:
                self._begin(f"{number}. round: pgbench with {clients} clients")
                rate = self._pgbench.rate(clients=clients, seconds=self._plan.seconds)
                self.found.pgbench[clients].append(rate)
        for setup, store in self._stores.items():
            began = time.perf_counter()
            with self._own.running(
                store.dsn, workers=setup is Setup.WORKERS, settings=_SETTINGS.get(setup)
            ) as running:
                self.found.starts_s[store.name].append(time.perf_counter() - began)
                bench = self._bench(running, store.books)
                bench.warm_up()
                for case in self._plan.cases:
                    if case.setup is setup:
                        self._begin(f"{number}. round: {case.scenario}, {setup}")
                        self.found.measured[case].append(bench.measure(case, dsn=store.dsn))
                self.found.memory_mb[store.name] = running.processes.memory_mb()

    def read_again(self) -> None:
        self._begin("events are read again")
        store = self._copied("what is read again")
        self._others.append(store)
        with self._own.running(store.dsn, workers=False) as running:
            self._bench(running, store.books).fill(PAYMENTS_AN_ACCOUNT * self._plan.accounts)
        reference = self.found.reference
        if REPLAY in self._plan.scenarios:
            self.found.again.append(replayed(self._own, store.dsn, reference))
        if REBUILD in self._plan.scenarios:
            self.found.again.append(rebuilt(self._own, store.dsn, reference))

    def prove(self) -> None:
        self._begin("the books are proved")
        for store in (*self._stores.values(), *self._others):
            report = self._own.reconciled(store.dsn)
            self.found.event_bytes[store.name] = self._own.size(store.dsn) / report.end
            self.found.books[store.name] = store.books.proved(
                report.end, sums=report.sums, differences=report.differences
            )

    def _begin(self, what: str) -> None:
        self._own.check_on()
        self._step(what)

    def _copied(self, name: str) -> _Store:
        dsn = self._own.dsn(self._own.database(like=DATABASE))
        return _Store(name, dsn, Books(self._filled))

    def _bench(self, running: Running, books: Books) -> Bench:
        return _bench(self._plan, *running, books, _PREFIX)


def on_product(plan: Plan, product: Product, step: Step) -> Results:
    """On a ledger that runs, and that nobody else uses meanwhile. Raises CannotRun."""
    found = _Found()
    books = Books(ask(product, "/v1/status")["end"])
    prefix = f"bench-{secrets.token_hex(4)}:"
    bench = _bench(plan, product, Processes({}, None), books, prefix)
    step("accounts are opened")
    bench.open_accounts()
    bench.warm_up()
    for number in range(1, plan.rounds + 1):
        for case in plan.cases:
            step(f"{number}. round: {case.scenario}")
            found.measured[case].append(bench.measure(case, dsn=None))
    step("the books are proved")
    end = ask(product, "/v1/status")["end"]
    trial = ask(product, f"/v1/trial-balance?min_position={end}")
    sums = {
        each["currency"]: each["total_debits"] - each["total_credits"]
        for each in trial["currencies"]
    }
    found.books[Setup.GIVEN] = books.proved(end, sums=sums, differences=())
    return found.results(plan, machine())


def _bench(plan: Plan, product: Product, processes: Processes, books: Books, prefix: str) -> Bench:
    return Bench(
        product, processes, books, accounts=plan.accounts, prefix=prefix, seconds=plan.seconds
    )
