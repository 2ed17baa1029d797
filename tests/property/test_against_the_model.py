"""The ledger and an independent model, side by side: any difference is a defect of one of them.

Two writers on one real store take turns, by a clock that stands still, jumps to a deadline and
steps back; keys are repeated, for the same request and for others; at the end everything is
replayed from the store alone.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from domain.refusals import REFUSED
from tests.fixtures.fix_ledger import Client
from tests.fixtures.fix_steps import Clock
from tests.property.machine import WAITING, SideBySide, run
from tests.property.outcomes import ELSEWHERE, OF_REQUESTS_AND_CODES
from tests.property.strategies import (
    MICROSECOND,
    MOST,
    NAMES,
    amounts,
    beyond,
    bounds,
    currencies,
    fixed,
    holds_s,
    jumps,
    keys,
    limits,
    low_limits,
    names,
    pairs,
    picks,
    postings,
    terms,
    writers,
)

NEVER = {"conditions": (("a", "posted", "gt", 10**6),)}


class LedgerAndModel(SideBySide):
    @initialize()
    def begin(self) -> None:
        self.start()
        self.send(-1, 0, ("open", "a", "EUR", "debit", None, None))
        self.send(-2, 0, ("open", "b", "EUR", "credit", 0, None))
        self.send(-3, 0, ("pay", (("a", "b", 9, "EUR"),), {}))
        self.send(-4, 0, ("open", "gone", "EUR", "credit", 0, None))
        self.send(-5, 0, ("status", "gone", "closed"))
        self.send(-6, 0, ("open", "cold", "EUR", "credit", 0, None))
        self.send(-7, 0, ("status", "cold", "frozen"))
        # Rare by chance: more than is held, and a condition alone that fails.
        self.send(-8, 0, ("pay", (("b", "a", 1, "EUR"),), {"hold_s": 60}))
        self.send(-9, 0, ("capture", self.name(-8), 2, True))
        self.send(-10, 0, ("void", self.name(-8)))
        self.send(-11, 0, ("pay", (("a", "b", 1, "EUR"),), NEVER))

    # Time -----------------------------------------------------------------------------

    @rule(
        key=keys,
        writer=writers,
        pick=picks,
        off=st.sampled_from((-MICROSECOND, 0 * MICROSECOND, MICROSECOND)),
        step=st.sampled_from(("", "capture", "void", "expire", "execute", "cancel", "refund")),
    )
    def at_a_deadline(self, key: int, writer: int, pick: int, off: timedelta, step: str) -> None:
        """Of an open hold, or at the time of a scheduled payment."""
        waiting = [
            (name, payment["expires_at"] or payment["terms"].get("execute_at"))
            for name, payment in self.model.payments.items()
            if payment["state"] in WAITING
        ]
        if waiting:
            name, at = waiting[pick % len(waiting)]
            self.at(at + off)
            more: dict[str, Any] = {"capture": (None, True), "refund": (None,)}
            if step in ("expire", "execute"):
                self.do_what_is_due(writer, step, name)
            elif step:
                self.send(key, writer, (step, name, *more.get(step, ())))

    # Accounts -------------------------------------------------------------------------

    @rule(
        key=keys,
        writer=writers,
        name=st.sampled_from(NAMES),
        currency=currencies,
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
        writer=writers,
        name=names,
        wanted=st.sampled_from(("open", "open", "open", "frozen", "closed")),
    )
    def status(self, key: int, writer: int, name: str, wanted: str) -> None:
        self.send(key, writer, ("status", name, wanted))

    @rule(key=keys, writer=writers, name=names, overdraft=bounds, maximum=bounds)
    def limit(self, key: int, writer: int, name: str, overdraft: Any, maximum: Any) -> None:
        self.send(key, writer, ("limit", name, overdraft, maximum))

    @rule(key=keys, writer=writers, name=st.sampled_from(NAMES[:2]), limits=limits)
    def velocity(self, key: int, writer: int, name: str, limits: Any) -> None:
        self.send(key, writer, ("velocity", name, limits))

    # New payments ---------------------------------------------------------------------

    @rule(key=keys, writer=writers, moved=postings, terms=terms)
    def pay(self, key: int, writer: int, moved: Any, terms: Any) -> None:
        self.send(key, writer, ("pay", moved, terms))

    @rule(key=keys, writer=writers, moved=postings, terms=terms, hold_s=holds_s)
    def hold(self, key: int, writer: int, moved: Any, terms: Any, hold_s: int) -> None:
        self.send(key, writer, ("pay", moved, {**terms, "hold_s": hold_s}))

    @rule(key=keys, writer=writers, amount=amounts, hold_s=holds_s, back=st.booleans())
    def hold_between_two(self, key: int, writer: int, amount: Any, hold_s: int, back: bool) -> None:
        """Rarely refused: so that there is something to capture."""
        pair = ("b", "a") if back else ("a", "b")
        self.send(key, writer, ("pay", ((*pair, amount, "EUR"),), {"hold_s": hold_s}))

    @rule(key=keys, writer=writers, moved=postings, terms=terms, after=jumps)
    def schedule(self, key: int, writer: int, moved: Any, terms: Any, after: timedelta) -> None:
        at = self.model.now + after
        self.send(key, writer, ("pay", moved, {**terms, "execute_at": at}))

    @rule(
        key=keys,
        writer=writers,
        pair=pairs,
        beyond=st.integers(-1, 2),
        fill=st.booleans(),
        hold=st.booleans(),
    )
    def pay_about_all(
        self, key: int, writer: int, pair: list[str], beyond: int, fill: bool, hold: bool
    ) -> None:
        """Amounts around what one account can give, or the other can take."""
        debit, credit = (self.model.accounts.get(name) for name in pair[:2])
        if debit and credit:
            name = pair[1] if fill else pair[0]
            room = (credit["high"] or 0) - self.model.balance(name)
            if not fill:
                room = self.model.available(name) or 0
            amount = min(max(1, room + beyond), MOST)
            terms = {"hold_s": 2} if hold else {}
            posting = (*pair[:2], amount, debit["currency"])
            self.send(key, writer, ("pay", (posting,), terms))

    @rule(key=keys, writer=writers, payer=st.sampled_from(("a", "b", "c")))
    def pay_what_is_closed(self, key: int, writer: int, payer: str) -> None:
        """Rare by chance: only an account that holds nothing can be closed."""
        if "d" in self.model.accounts and self.model.balance("d") == 0:
            self.send(key, writer, ("status", "d", "closed"))
            self.send(key + 2_000_000, writer, ("pay", ((payer, "d", 1, "EUR"),), {}))

    @rule(
        writer=writers,
        lines=st.lists(st.tuples(keys, postings, terms), min_size=1, max_size=4),
    )
    def together(self, writer: int, lines: Any) -> None:
        named = [(self.name(own), ("pay", moved, given)) for own, moved, given in lines]
        self.send_together(writer, named)

    @rule(key=keys, writer=writers, rows=st.lists(fixed, min_size=2, max_size=4))
    def together_between_two(self, key: int, writer: int, rows: Any) -> None:
        """Rarely refused, and a line is often one that was sent before."""
        self.send_together(
            writer,
            [
                (self.name(key + n), ("pay", (("a", "b", amount, "EUR"),), {}))
                for n, amount in enumerate(rows)
            ],
        )

    def send_together(self, writer: int, lines: Any) -> None:
        expected = self.model.together(lines)
        got = self.clients[writer].together(self.example, lines)
        self.compare("together", got, expected, lines)
        if got[0] == "ok":
            for name, request in lines:
                self.sent.setdefault(name, request)

    @rule(
        key=keys,
        writer=writers,
        limit=low_limits,
        held=st.integers(1, 4),
        end=st.sampled_from(("void", "part", "whole", "deadline", "swept")),
        then=st.integers(1, 4),
    )
    def hold_under_a_limit(
        self, key: int, writer: int, limit: Any, held: int, end: str, then: int
    ) -> None:
        """What a hold gives back is there for the next: rare by chance."""
        key *= 10_000_000
        self.send(key + 1, writer, ("velocity", "a", (limit,)))
        self.send(key + 2, writer, ("pay", (("a", "b", held, "EUR"),), {"hold_s": 2}))
        name = self.name(key + 2)
        if end == "void":
            self.send(key + 3, writer, ("void", name))
        elif end in ("part", "whole"):
            amount = 1 if end == "part" else None
            self.send(key + 3, writer, ("capture", name, amount, True))
        else:
            self.at(self.model.now + timedelta(seconds=2))
            if end == "swept":
                self.do_what_is_due(writer, "expire", name)
        self.send(key + 4, writer, ("pay", (("a", "b", then, "EUR"),), {}))

    # Steps of payments ----------------------------------------------------------------

    @rule(key=keys, writer=writers, pick=picks, beyond=beyond, final=st.booleans())
    def capture(self, key: int, writer: int, pick: int, beyond: Any, final: bool) -> None:
        name = self.some_payment(pick)
        amount = self.about(name, "postings", "captured", beyond)
        self.send(key, writer, ("capture", name, amount, final))

    @rule(key=keys, writer=writers, pick=picks)
    def void(self, key: int, writer: int, pick: int) -> None:
        self.send(key, writer, ("void", self.some_payment(pick)))

    @rule(key=keys, writer=writers, pick=picks)
    def cancel(self, key: int, writer: int, pick: int) -> None:
        self.send(key, writer, ("cancel", self.some_payment(pick)))

    @rule(key=keys, writer=writers, pick=picks, beyond=beyond)
    def refund(self, key: int, writer: int, pick: int, beyond: Any) -> None:
        name = self.some_payment(pick)
        amount = self.about(name, "captured", "refunded", beyond)
        self.send(key, writer, ("refund", name, amount))

    def about(self, name: str, whole: str, part: str, beyond: int | None) -> int | None:
        """An amount around what is left of a payment; None is all of it."""
        payment = self.model.payments.get(name)
        if payment is None or beyond is None:
            return None
        (of, *_), (gone, *_) = payment[whole], payment[part]
        of = of[2] if whole == "postings" else of
        return max(1, (of if isinstance(of, int) else 0) - gone + beyond)

    @rule(writer=writers, pick=picks, step=st.sampled_from(("expire", "execute")))
    def due(self, writer: int, pick: int, step: str) -> None:
        self.do_what_is_due(writer, step, self.some_payment(pick))


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_the_ledger_does_what_the_model_says(
    clients: tuple[Client, Client], clock: Clock, scaled: Any, figure: Any
) -> None:
    # Less than its share of the whole run, which takes half an hour.
    examples = scaled(10_000) if scaled(100) >= 100 else 300
    outcomes = run(LedgerAndModel, clients, clock, examples=examples)
    figure("commands sent to ledger and model", outcomes.total())
    refused = {code for _, code in outcomes}
    assert refused >= set(REFUSED) - ELSEWHERE - OF_REQUESTS_AND_CODES, "a rule was never met"
