"""The ledger and an independent model, side by side: any difference is a defect of one of them.

Two writers on one real store take turns; keys are repeated, for the same request and for others;
at the end everything is replayed from the store alone.
"""

from __future__ import annotations

import itertools
from collections import Counter
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

from domain.refusals import REFUSED
from tests.fixtures.fix_ledger import Client, two_ledgers
from tests.fixtures.fix_postgres import Store
from tests.property.model import Model

NAMES = ("a", "b", "c", "d")
CURRENCIES = ("EUR", "EUR", "EUR", "EUR", "EUR", "USD")
# Small, so that limits are met to the cent; the largest, so that sums get long.
amounts = st.one_of(st.integers(1, 5), st.integers(1, 5), st.just(9_007_199_254_740_991))
bounds = st.one_of(st.none(), st.integers(0, 6), st.just(0))
names = st.sampled_from((*NAMES, "a", "b", "a", "b", "nobody", "gone", "cold"))
postings = st.tuples(names, names, amounts, st.sampled_from(CURRENCIES))
keys = st.one_of(st.integers(0, 1_000_000), st.integers(0, 9))

_examples = itertools.count()


@pytest.fixture
def clients(fresh_store: Store) -> Iterator[tuple[Client, Client]]:
    with two_ledgers(fresh_store) as both:
        yield both


def test_the_ledger_does_what_the_model_says(  # noqa: C901 (a machine of small rules)
    clients: tuple[Client, Client], scaled: Any, figure: Any
) -> None:
    outcomes: Counter[tuple[str, str]] = Counter()

    class LedgerAndModel(RuleBasedStateMachine):
        @initialize()
        def begin(self) -> None:
            self.example = next(_examples)
            self.model = Model()
            self.sent: dict[str, tuple[Any, ...]] = {}
            self.send(-1, 0, ("open", "a", "EUR", "debit", None, None))
            self.send(-2, 0, ("open", "b", "EUR", "credit", 0, None))
            self.send(-3, 0, ("pay", ("a", "b", 9, "EUR")))
            self.send(-4, 0, ("open", "gone", "EUR", "credit", 0, None))
            self.send(-5, 0, ("status", "gone", "closed"))
            self.send(-6, 0, ("open", "cold", "EUR", "credit", 0, None))
            self.send(-7, 0, ("status", "cold", "frozen"))

        def send(self, key: int, writer: int, request: tuple[Any, ...]) -> None:
            name = f"{self.example}-{key}"
            self.sent.setdefault(name, request)
            expected = self.model.send(name, request)
            assert clients[writer].send(name, self.example, request) == expected, request
            outcomes[request[0], expected[1] if expected[0] == "refused" else "ok"] += 1

        @rule(
            key=keys,
            writer=st.integers(0, 1),
            name=st.sampled_from(NAMES),
            currency=st.sampled_from(CURRENCIES),
            side=st.sampled_from(("credit", "debit")),
            overdraft=bounds,
            maximum=bounds,
        )
        def open(
            self,
            key: int,
            writer: int,
            name: str,
            currency: str,
            side: str,
            overdraft: Any,
            maximum: Any,
        ) -> None:
            self.send(key, writer, ("open", name, currency, side, overdraft, maximum))

        @rule(
            key=keys,
            writer=st.integers(0, 1),
            name=names,
            wanted=st.sampled_from(("open", "open", "open", "frozen", "closed")),
        )
        def status(self, key: int, writer: int, name: str, wanted: str) -> None:
            self.send(key, writer, ("status", name, wanted))

        @rule(key=keys, writer=st.integers(0, 1), name=names, overdraft=bounds, maximum=bounds)
        def limit(self, key: int, writer: int, name: str, overdraft: Any, maximum: Any) -> None:
            self.send(key, writer, ("limit", name, overdraft, maximum))

        @rule(key=keys, writer=st.integers(0, 1), moved=st.lists(postings, min_size=1, max_size=3))
        def pay(self, key: int, writer: int, moved: list[Any]) -> None:
            self.send(key, writer, ("pay", *moved))

        @rule(
            key=keys,
            writer=st.integers(0, 1),
            pair=st.permutations(NAMES),
            beyond=st.integers(-1, 2),
            fill=st.booleans(),
        )
        def pay_about_all(
            self, key: int, writer: int, pair: list[str], beyond: int, fill: bool
        ) -> None:
            """Amounts around what one account can give, or the other can take."""
            debit, credit = (self.model.accounts.get(name) for name in pair[:2])
            if debit and credit:
                name, bound = (pair[1], credit["high"]) if fill else (pair[0], debit["low"])
                balance = self.model.balance(name)
                room = (bound or 0) + (-balance if fill else balance)
                amount = min(max(1, room + beyond), 9_007_199_254_740_991)
                self.send(key, writer, ("pay", (*pair[:2], amount, debit["currency"])))

        @rule(key=keys, writer=st.integers(0, 1), payer=st.sampled_from(("a", "b", "c")))
        def pay_what_is_closed(self, key: int, writer: int, payer: str) -> None:
            """Rare by chance: only an account that holds nothing can be closed."""
            if "d" in self.model.accounts and self.model.balance("d") == 0:
                self.send(key, writer, ("status", "d", "closed"))
                self.send(key + 2_000_000, writer, ("pay", (payer, "d", 1, "EUR")))

        @rule(pick=st.integers(0), writer=st.integers(0, 1))
        def repeat(self, pick: int, writer: int) -> None:
            """The same key and request again: the first answer, whatever has happened since."""
            name, request = list(self.sent.items())[pick % len(self.sent)]
            self.send(int(name.partition("-")[2]), writer, request)

        @invariant()
        def debits_equal_credits(self) -> None:
            accounts = self.model.accounts.values()
            assert sum(one["debits"] for one in accounts) == sum(one["credits"] for one in accounts)

        def teardown(self) -> None:
            """Replayed from the store, every balance is the model's and every answer the first."""
            for name in self.model.accounts:
                assert clients[0].balance(self.example, name) == self.model.balance(name)
            for name, request in self.sent.items():
                if name in self.model.answers:
                    expected = self.model.send(name, request)
                    assert clients[1].send(name, self.example, request) == expected

    run_state_machine_as_test(
        LedgerAndModel,
        settings=settings(
            max_examples=scaled(2_000, least=100),
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
    figure("commands sent to ledger and model", outcomes.total())
    refused = {code for _, code in outcomes} - {"ok", "account_exists", "idempotency_key_reused"}
    assert refused >= set(REFUSED) - {"balance_overflow"}, "a rule was never met"
