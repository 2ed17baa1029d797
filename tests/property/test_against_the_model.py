"""The ledger and an independent model, side by side: any difference is a defect of one of them.

Two writers on one real store take turns; keys are repeated, for the same request and for others;
at the end everything is replayed from the store alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.fixtures.fix_ledger import Client, two_ledgers
from tests.fixtures.fix_postgres import Store
from tests.property.model import Model

NAMES = ("a", "b", "c", "d")
CURRENCIES = ("EUR", "EUR", "EUR", "USD")
amounts = st.one_of(st.integers(1, 60), st.just(9_007_199_254_740_991))
bounds = st.one_of(st.none(), st.integers(0, 80))
names = st.sampled_from((*NAMES, "nobody"))
postings = st.tuples(names, names, amounts, st.sampled_from(CURRENCIES))
keys = st.integers(0, 40)

_examples = itertools.count()


@pytest.fixture
def clients(fresh_store: Store) -> Iterator[tuple[Client, Client]]:
    with two_ledgers(fresh_store) as both:
        yield both


def test_the_ledger_does_what_the_model_says(
    clients: tuple[Client, Client], scaled: Any, figure: Any
) -> None:
    steps = itertools.count()

    class LedgerAndModel(RuleBasedStateMachine):
        @initialize()
        def begin(self) -> None:
            self.example = next(_examples)
            self.model = Model()
            self.sent: dict[str, tuple[Any, ...]] = {}

        def send(self, key: int, writer: int, request: tuple[Any, ...]) -> None:
            next(steps)
            name = f"{self.example}-{key}"
            self.sent.setdefault(name, request)
            expected = self.model.send(name, request)
            assert clients[writer].send(name, self.example, request) == expected, request

        @rule(key=keys, writer=st.integers(0, 1), name=st.sampled_from(NAMES),
              currency=st.sampled_from(CURRENCIES), side=st.sampled_from(("credit", "debit")),
              overdraft=bounds, maximum=bounds)
        def open(self, key: int, writer: int, **terms: Any) -> None:
            self.send(key, writer, ("open", *terms.values()))

        @rule(key=keys, writer=st.integers(0, 1), name=names,
              wanted=st.sampled_from(("open", "open", "frozen", "closed")))
        def status(self, key: int, writer: int, name: str, wanted: str) -> None:
            self.send(key, writer, ("status", name, wanted))

        @rule(key=keys, writer=st.integers(0, 1), name=names, overdraft=bounds, maximum=bounds)
        def limit(self, key: int, writer: int, **terms: Any) -> None:
            self.send(key, writer, ("limit", *terms.values()))

        @rule(key=keys, writer=st.integers(0, 1), moved=st.lists(postings, min_size=1, max_size=3))
        def pay(self, key: int, writer: int, moved: list[Any]) -> None:
            self.send(key, writer, ("pay", *moved))

        @rule(key=keys, writer=st.integers(0, 1))
        def repeat(self, key: int, writer: int) -> None:
            """The same key and request again: the first answer, whatever has happened since."""
            if request := self.sent.get(f"{self.example}-{key}"):
                self.send(key, writer, request)

        @invariant()
        def debits_equal_credits(self) -> None:
            accounts = self.model.accounts.values()
            assert sum(one["debits"] for one in accounts) == sum(one["credits"] for one in accounts)

        def teardown(self) -> None:
            """Replayed from the store alone, every balance is the model's, every answer the first."""
            for name in self.model.accounts:
                assert clients[0].balance(self.example, name) == self.model.balance(name)
            for name, request in self.sent.items():
                if name in self.model.answers:
                    expected = self.model.send(name, request)
                    assert clients[1].send(name, self.example, request) == expected

    run_state_machine_as_test(
        LedgerAndModel,
        settings=settings(
            max_examples=scaled(1_000, least=30),
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
    figure("commands sent to ledger and model", next(steps))
