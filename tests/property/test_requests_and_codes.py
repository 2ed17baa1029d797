"""Payment requests and pay codes, side by side with the model: no request is paid twice, no code
used twice, and what waits for its payer is money held once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tests.fixtures.fix_ledger import Client
from tests.fixtures.fix_steps import Clock
from tests.property.carriers_model import CONFIRM_S, CarriersModel
from tests.property.machine import SideBySide, run
from tests.property.outcomes import OF_REQUESTS_AND_CODES
from tests.property.strategies import (
    MICROSECOND,
    bounds,
    carriers,
    currencies,
    keys,
    low_limits,
    picks,
    writers,
)

MONTH_S = 2_592_000
parties = st.sampled_from(("a", "b", "b", "c", "c", "nobody", "gone", "cold"))
small = st.integers(1, 5)
chosen = st.one_of(st.none(), small)
lasting_s = st.sampled_from((2, 60, MONTH_S, MONTH_S))
steps = st.sampled_from(("confirm", "confirm", "decline", "cancel", "void"))


class RequestsAndCodes(SideBySide):
    model_of = CarriersModel
    model: CarriersModel

    @initialize()
    def begin(self) -> None:
        self.start()
        self.send(-1, 0, ("open", "a", "EUR", "debit", None, None))
        for key, name in enumerate(("b", "c", "gone", "cold")):
            self.send(-2 - key, 0, ("open", name, "EUR", "credit", 0, None))
        self.send(-6, 0, ("status", "gone", "closed"))
        for key, name in enumerate(("b", "c", "cold")):
            self.send(-7 - key, 0, ("pay", (("a", name, 9, "EUR"),), {}))
        self.send(-10, 0, ("status", "cold", "frozen"))
        self.send(-11, 0, ("ask", "c", 2, "EUR", MONTH_S))
        self.send(-12, 0, ("ask", "c", None, "EUR", MONTH_S))
        self.send(-13, 0, ("issue", "b", "EUR", 5, 3, MONTH_S))
        # Rare by chance.
        self.send(-14, 1, ("pay_ask", self.name(-12), "b", 1, None, "qr"))
        self.send(-15, 0, ("pay_ask", self.name(-11), "b", 1, 3, "qr"))
        self.send(-16, 1, ("pay_ask", self.name(-11), "b", 2, 2, "qr"))
        self.send(-17, 0, ("pay_ask", self.name(-11), "b", 1, 2, "qr"))
        self.send(-18, 1, ("pay_ask", self.name(-11), "a", 1, 2, "qr"))
        self.send(-19, 0, ("ask", "c", 2, "EUR", MONTH_S))
        self.send(-20, 1, ("cancel_ask", self.name(-19)))
        self.send(-21, 0, ("pay_ask", self.name(-19), "b", 1, 2, "qr"))
        self.send(-22, 1, ("show", self.name(-13), "c", 6, "EUR", "qr"))
        self.send(-23, 0, ("refund", self.name(-17), 1))
        self.send(-24, 1, ("change_ask", self.name(-12), None, MONTH_S))
        self.send(-25, 0, ("ask", "c", 2, "EUR", CONFIRM_S))
        self.send(-26, 0, ("issue", "b", "EUR", 5, 3, CONFIRM_S))
        for number, step in enumerate(("confirm", "decline", "cancel", "expire")):
            code, payment = -30 - number, -40 - number
            self.send(code, 0, ("issue", "a", "EUR", 1, 0, MONTH_S))
            self.send(payment, 1, ("show", self.name(code), "c", 1, "EUR", "qr"))
            if step != "expire":
                self.send(-50 - number, 0, (step, self.name(payment)))
        self.at(self.model.now + timedelta(seconds=CONFIRM_S))
        self.do_what_is_due(0, "expire", self.name(-43))
        self.do_what_is_due(1, "expire_ask", self.name(-25))
        self.do_what_is_due(0, "expire_code", self.name(-26))

    # Accounts and money -------------------------------------------------------------------

    @rule(
        key=keys, writer=writers, name=parties, wanted=st.sampled_from(("open", "open", "frozen"))
    )
    def status(self, key: int, writer: int, name: str, wanted: str) -> None:
        self.send(key, writer, ("status", name, wanted))

    @rule(key=keys, writer=writers, name=st.sampled_from(("b", "c")), low=bounds, high=bounds)
    def limit(self, key: int, writer: int, name: str, low: Any, high: Any) -> None:
        self.send(key, writer, ("limit", name, low, high))

    @rule(key=keys, writer=writers, name=st.sampled_from(("b", "c")), limit=low_limits)
    def velocity(self, key: int, writer: int, name: str, limit: Any) -> None:
        self.send(key, writer, ("velocity", name, (limit,)))

    @rule(key=keys, writer=writers, debit=parties, credit=parties, amount=small)
    def pay(self, key: int, writer: int, debit: str, credit: str, amount: int) -> None:
        self.send(key, writer, ("pay", ((debit, credit, amount, "EUR"),), {}))

    @rule(key=keys, writer=writers, pick=picks, amount=chosen)
    def refund(self, key: int, writer: int, pick: int, amount: Any) -> None:
        self.send(key, writer, ("refund", self.some_payment(pick), amount))

    # Payment requests ---------------------------------------------------------------------

    @rule(
        key=keys,
        writer=writers,
        credit=parties,
        amount=chosen,
        currency=currencies,
        seconds=lasting_s,
    )
    def ask(
        self, key: int, writer: int, credit: str, amount: Any, currency: str, seconds: int
    ) -> None:
        self.send(key, writer, ("ask", credit, amount, currency, seconds))

    @rule(
        key=keys,
        writer=writers,
        pick=picks,
        amount=chosen,
        seconds=st.one_of(st.none(), lasting_s),
    )
    def change_ask(self, key: int, writer: int, pick: int, amount: Any, seconds: Any) -> None:
        self.send(key, writer, ("change_ask", self.some(self.model.asks, pick), amount, seconds))

    @rule(key=keys, writer=writers, pick=picks)
    def cancel_ask(self, key: int, writer: int, pick: int) -> None:
        self.send(key, writer, ("cancel_ask", self.some(self.model.asks, pick)))

    @rule(
        key=keys,
        writer=writers,
        pick=picks,
        debit=parties,
        behind=st.sampled_from((0, 0, 0, 1)),
        amount=chosen,
        carrier=carriers,
        twice=st.booleans(),
    )
    def pay_ask(
        self,
        key: int,
        writer: int,
        pick: int,
        debit: str,
        behind: int,
        amount: Any,
        carrier: str,
        twice: bool,
    ) -> None:
        """By one payer, and maybe by another one right after."""
        name = self.some(self.model.asks, pick)
        ask = self.model.asks.get(name, {"revision": 1, "amount": None})
        told = ask["amount"] if pick % 2 else amount
        payers = (debit, "b") if twice else (debit,)
        for number, payer in enumerate(payers):
            revision = ask["revision"] - behind
            request = ("pay_ask", name, payer, revision, told, carrier)
            self.send(key + number * 2_000_000, (writer + number) % 2, request)

    # Pay codes ----------------------------------------------------------------------------

    @rule(
        key=keys,
        writer=writers,
        account=parties,
        currency=currencies,
        most=small,
        above=st.one_of(st.none(), st.integers(0, 4)),
        seconds=lasting_s,
    )
    def issue(
        self,
        key: int,
        writer: int,
        account: str,
        currency: str,
        most: int,
        above: Any,
        seconds: int,
    ) -> None:
        self.send(key, writer, ("issue", account, currency, most, above, seconds))

    @rule(
        key=keys,
        writer=writers,
        pick=picks,
        credit=parties,
        amount=st.integers(1, 6),
        currency=currencies,
        carrier=carriers,
        twice=st.booleans(),
    )
    def show(
        self,
        key: int,
        writer: int,
        pick: int,
        credit: str,
        amount: int,
        currency: str,
        carrier: str,
        twice: bool,
    ) -> None:
        """At one till, and maybe at another one right after."""
        name = [*self.model.codes][pick % len(self.model.codes)]
        tills = (credit, "a") if twice else (credit,)
        for number, till in enumerate(tills):
            request = ("show", name, till, amount, currency, carrier)
            self.send(key + number * 2_000_000, (writer + number) % 2, request)

    @rule(
        key=keys,
        writer=writers,
        payer=st.sampled_from(("a", "b")),
        amount=small,
        then=st.sampled_from(("confirm", "confirm", "decline", "cancel", "expire", None)),
        frozen=st.booleans(),
        again=steps,
    )
    def ask_the_payer(
        self,
        key: int,
        writer: int,
        payer: str,
        amount: int,
        then: str | None,
        frozen: bool,
        again: str,
    ) -> None:
        """Rarely refused, and so answered at once now and then; and then answered again."""
        key *= 10_000_000
        self.send(key + 1, writer, ("issue", payer, "EUR", amount, 0, 60))
        code, payment = self.name(key + 1), self.name(key + 2)
        if code in self.model.codes:
            self.send(key + 2, writer, ("show", code, "c", amount, "EUR", "qr"))
            if frozen:
                self.send(key + 3, writer, ("status", payer, "frozen"))
            if then == "expire":
                self.at(self.model.now + timedelta(seconds=CONFIRM_S))
                self.do_what_is_due(1 - writer, then, payment)
            elif then:
                self.send(key + 4, 1 - writer, (then, payment))
            self.send(key + 5, writer, ("status", payer, "open"))
            if then:
                self.send(key + 6, writer, (again, payment))

    @rule(key=keys, writer=writers, pick=picks, step=steps)
    def answer(self, key: int, writer: int, pick: int, step: str) -> None:
        """What waits for its payer; now and then what doesn't."""
        self.send(key, writer, (step, self.some_payment(pick)))

    # Deadlines ----------------------------------------------------------------------------

    @rule(
        key=keys,
        writer=writers,
        pick=picks,
        off=st.sampled_from((-MICROSECOND, 0 * MICROSECOND, MICROSECOND)),
        swept=st.booleans(),
        step=steps,
    )
    def at_a_deadline(
        self, key: int, writer: int, pick: int, off: timedelta, swept: bool, step: str
    ) -> None:
        """Of a request, a code, or what waits for its payer."""
        ends: list[tuple[str, str, datetime]] = [
            (due, name, each["expires_at"])
            for due, things, state in (
                ("expire_ask", self.model.asks, "open"),
                ("expire_code", self.model.codes, "live"),
                ("expire", self.model.payments, "pending_confirmation"),
            )
            for name, each in things.items()
            if each["state"] == state
        ]
        if not ends:
            return
        due, name, at = ends[pick % len(ends)]
        self.at(at + off)
        if swept:
            self.do_what_is_due(writer, due, name)
        elif due == "expire":
            self.send(key, writer, (step, name))
        elif due == "expire_ask":
            ask = self.model.asks[name]
            self.send(key, writer, ("pay_ask", name, "b", ask["revision"], ask["amount"], "qr"))
        else:
            self.send(key, writer, ("show", name, "c", 1, "EUR", "qr"))

    @rule(writer=writers, pick=picks, step=st.sampled_from(("expire", "expire_ask", "expire_code")))
    def due(self, writer: int, pick: int, step: str) -> None:
        things = {"expire_ask": self.model.asks, "expire_code": self.model.codes}
        name = self.some(things[step], pick) if step in things else self.some_payment(pick)
        self.do_what_is_due(writer, step, name)

    def some(self, things: dict[str, Any], pick: int) -> str:
        names = [*things, f"{self.example}-nothing"]
        return names[pick % len(names)]


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_requests_and_codes_do_what_the_model_says(
    clients: tuple[Client, Client], clock: Clock, scaled: Any, figure: Any
) -> None:
    examples = scaled(3_000) if scaled(100) >= 100 else 200
    outcomes = run(RequestsAndCodes, clients, clock, examples=examples)
    figure("commands on requests and codes sent to both", outcomes.total())
    refused = {code for _, code in outcomes}
    assert refused >= OF_REQUESTS_AND_CODES, "a rule was never met"
    done = {kind for kind, outcome in outcomes if outcome == "ok"}
    assert done >= {"pay_ask", "show", "confirm", "decline", "cancel", "expire", "expire_ask"}
    assert done >= {"expire_code", "refund", "change_ask", "cancel_ask"}
