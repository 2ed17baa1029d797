"""The ledger and a model of it, side by side: what every such machine does alike."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.fixtures.fix_ledger import Client
from tests.fixtures.fix_steps import Clock
from tests.property.amounts import assert_amounts_add_up
from tests.property.model import Model
from tests.property.strategies import jumps, picks, writers

PAYS = ("pay", "refund", "show", "pay_ask")
WAITING = ("held", "scheduled", "pending_confirmation")

_examples = itertools.count()


class SideBySide(RuleBasedStateMachine):
    """Two writers of one ledger are asked by turns, and a model; what they answer is compared."""

    clients: ClassVar[Sequence[Client]]
    clock: ClassVar[Clock]
    outcomes: ClassVar[Counter[tuple[str, str]]]
    model_of: ClassVar[type[Model]] = Model

    def start(self) -> None:
        self.example = next(_examples)
        self.model = self.model_of(self.clock.now)
        self.sent: dict[str, tuple[Any, ...]] = {}

    # How they are asked ---------------------------------------------------------------

    def name(self, key: int) -> str:
        return f"{self.example}-{key}"

    def send(self, key: int, writer: int, request: tuple[Any, ...]) -> None:
        name = self.name(key)
        self.sent.setdefault(name, request)
        expected = self.model.send(name, request)
        got = self.clients[writer].send(name, self.example, request)
        self.compare(request[0], got, expected, request)
        if request[0] in PAYS and got[0] == "ok":
            self.floor(name, got[1])

    def compare(self, kind: str, got: Any, expected: Any, request: Any) -> None:
        assert got == expected, request
        told = got[1]
        if got[0] == "ok":
            told = "ok"
        elif isinstance(told, tuple):
            told = told[0]
        self.outcomes[kind, told] += 1

    def floor(self, name: str, told: Any) -> None:
        """What a decision lowered is not below its floor; nothing held is negative."""
        _, _, balances = told
        lowered = {
            self.model.lowered(debit, credit)
            for debit, credit, *_ in self.model.payments[name]["postings"]
        }
        for both in lowered if balances else ():
            assert all((balances[each][3] or 0) >= 0 for each in both)
        for _, pending_debit, pending_credit, _ in balances.values():
            assert min(pending_debit, pending_credit) >= 0

    def some_payment(self, pick: int) -> str:
        """One of all, or of those that wait; now and then one that isn't."""
        made = [*self.model.payments, f"{self.example}-nothing"]
        waiting = [name for name in made[:-1] if self.model.payments[name]["state"] in WAITING]
        choice = waiting if waiting and pick % 3 else made
        return choice[pick // 3 % len(choice)]

    # Time -----------------------------------------------------------------------------

    @rule(by=jumps)
    def jump(self, by: timedelta) -> None:
        self.at(self.clock.now + by)

    def at(self, now: datetime) -> None:
        self.clock.now = self.model.clock = now

    def do_what_is_due(self, writer: int, step: str, of: str) -> None:
        expected = self.model.due(step, of)
        self.compare(step, self.clients[writer].due(step, of), expected, of)

    # Again, and for trial -------------------------------------------------------------

    @rule(pick=picks, writer=writers)
    def repeat(self, pick: int, writer: int) -> None:
        """The same key and request again: the first answer, whatever has happened since."""
        name, request = list(self.sent.items())[pick % len(self.sent)]
        self.send(int(name.partition("-")[2]), writer, request)

    @rule(pick=picks, writer=writers)
    def dry_run(self, pick: int, writer: int) -> None:
        """What was sent before, as if it were new."""
        request = list(self.sent.values())[pick % len(self.sent)]
        expected = self.model.dry(request)
        name = f"{self.example}-dry"
        got = self.clients[writer].send(name, self.example, request, dry_run=True)
        self.compare(request[0], got, expected, request)

    @invariant()
    def debits_equal_credits(self) -> None:
        totals: Counter[str] = Counter()
        for account in self.model.accounts.values():
            sign = 1 if account["side"] == "credit" else -1
            totals[account["currency"]] += sign * account["posted"]
        assert not any(totals.values())

    def teardown(self) -> None:
        """Replayed from the store, every balance is the model's and every answer the first."""
        # The next example begins at this one's recorded time, also where this one fails.
        self.clock.now = self.clients[0].recorded_at
        assert self.clients[0].recorded_at == self.model.recorded
        for name in self.model.accounts:
            assert self.clients[0].balance(self.example, name) == self.model.balance(name)
        for name, payment in self.model.payments.items():
            assert_amounts_add_up(self.clients[0].events(name), payment["state"])
        for name, request in self.sent.items():
            if name in self.model.answers:
                expected = self.model.send(name, request)
                assert self.clients[1].send(name, self.example, request) == expected


def run(
    machine: type[SideBySide], clients: Sequence[Client], clock: Clock, *, examples: int
) -> Counter[tuple[str, str]]:
    """How often each kind of request came to each outcome."""
    machine.clients, machine.clock, machine.outcomes = clients, clock, Counter()
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
    return machine.outcomes
