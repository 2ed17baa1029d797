"""What the ledger should do, told again from the contract; imports nothing of the product.

It keeps no balances of what is held and no counters of limits: both are summed anew, from all
payments, whenever they are asked for.
"""

import copy
import operator
from datetime import UTC, datetime, timedelta

from tests.property.outcomes import UNDECIDED, Refusal, code_of, refuse_if
from tests.property.velocity import HELD, fits, frees_at

MOST = 9_007_199_254_740_991
LOWEST, HIGHEST = -(2**63), 2**63 - 1
COMPARE = {op: getattr(operator, op.replace("te", "e")) for op in ("eq", "gt", "gte", "lt", "lte")}


class Model:
    MAKES = ("pay", "refund")  # what is named by its key from there on

    def __init__(self, recorded=datetime(2000, 1, 1, tzinfo=UTC)):
        self.accounts, self.payments, self.answers = {}, {}, {}
        self.clock = self.recorded = recorded
        self.steps = 0

    # Commands -----------------------------------------------------------------------------

    def send(self, key, request):
        """The outcome of a request under a key: `("ok", detail)` or `("refused", code)`."""
        if key in self.answers:
            before, outcome = self.answers[key]
            return outcome if before == request else ("refused", "idempotency_key_reused")
        outcome = self.decide(key, request)
        if outcome[0] == "ok" or code_of(outcome) not in UNDECIDED:
            self.answers[key] = (request, outcome)
            self.recorded = self.now
        return outcome

    def dry(self, request):
        """What `send` would give under a new key; nothing changes."""
        before = copy.deepcopy(vars(self))
        outcome = self.decide("dry", request)
        vars(self).update(before)
        return outcome

    def together(self, lines):
        """Of payments (key, request) that are made all or not at all."""
        before, outcomes = copy.deepcopy(vars(self)), []
        for number, (key, request) in enumerate(lines):
            outcome = self.send(key, request)
            if outcome[0] == "refused":
                vars(self).update(before)
                return "refused", ("bulk_refused", number, code_of(outcome))
            outcomes.append(outcome[1])
        return "ok", tuple(outcomes)

    def due(self, step, payment):
        """What the ledger does by itself."""
        outcome = self.decide(payment, (step, payment))
        if outcome[0] == "ok" or code_of(outcome) not in UNDECIDED:
            self.recorded = self.now
        return outcome

    def decide(self, key, request):
        kind, *members = request
        self.steps += 1
        try:
            return "ok", getattr(self, kind)(*([key] if kind in self.MAKES else []), *members)
        except Refusal as refusal:
            return "refused", refusal.args[0]

    @property
    def now(self):
        return max(self.clock, self.recorded)

    # Accounts -----------------------------------------------------------------------------

    def open(self, name, currency, side, overdraft, maximum):
        refuse_if(name in self.accounts, "account_exists")
        self.accounts[name] = {
            "currency": currency,
            "side": side,
            "low": overdraft,
            "high": maximum,
            "posted": 0,
            "is_": "open",
            "version": 1,
            "limits": [],
        }
        return "open", 1

    def status(self, name, wanted):
        account = self.existing(name)
        if not (account["is_"] == wanted == "closed"):
            refuse_if(account["is_"] == "closed", "account_closed")
        holds = any(self.pending(name, side, self.now) for side in ("debit", "credit"))
        empty = not (account["posted"] or holds)
        refuse_if(wanted == "closed" != account["is_"] and not empty, "account_not_empty")
        return self.changed(account, is_=wanted)

    def limit(self, name, overdraft, maximum):
        account = self.existing(name)
        refuse_if(account["is_"] == "closed", "account_closed")
        return self.changed(account, low=overdraft, high=maximum)

    def velocity(self, name, limits):
        account = self.existing(name)
        refuse_if(account["is_"] == "closed", "account_closed")
        since = {each["limit"][:2]: each["since"] for each in account["limits"]}
        told = [{"limit": limit, "since": since.get(limit[:2], self.steps)} for limit in limits]
        if [each["limit"] for each in account["limits"]] == list(limits):
            told = account["limits"]
        return self.changed(account, limits=told)

    def changed(self, account, **members):
        account["version"] += any(account[name] != value for name, value in members.items())
        account.update(members)
        return account["is_"], account["version"]

    def existing(self, name):
        refuse_if(name not in self.accounts, "not_found")
        return self.accounts[name]

    # Payments -----------------------------------------------------------------------------

    def pay(self, key, postings, terms):
        at = terms.get("execute_at")
        refuse_if(at and not self.now < at <= self.now + timedelta(days=366), "invalid_request")
        payment = self.payments[key] = {
            "state": "scheduled"
            if at
            else terms.get("to", "held" if "hold_s" in terms else "settled"),
            "postings": [list(posting) for posting in postings],
            "terms": terms,
            "captured": [0] * len(postings),
            "refunded": [0] * len(postings),
            "expires_at": None,
            "ended_by_deadline": False,
            "refund_of": terms.get("refund_of"),
        }
        try:
            self.check_accounts(payment, frozen=not at)
            if at:
                return self.told(payment, ())
            return self.make(payment)
        except Refusal:
            payment["state"] = "refused"
            for posting in payment["postings"]:
                posting[2] = posting[2] if isinstance(posting[2], int) else 0
            raise

    def make(self, payment):
        self.check_conditions(payment)
        asked = copy.deepcopy(payment["postings"])
        held = payment["state"] in HELD
        try:
            moved = {}
            for posting in payment["postings"]:
                self.check_funds(posting, moved, held)
            self.check_limits(payment)
        except Refusal:
            payment["postings"] = asked
            raise
        finally:
            payment["at"], payment["began"] = self.now, self.steps
        if held:
            payment["expires_at"] = self.now + timedelta(seconds=payment["terms"]["hold_s"])
            for debit, credit, _, _ in payment["postings"]:
                self.touch(debit, credit)
        else:
            self.book(payment, [posting[2] for posting in payment["postings"]])
        return self.told(payment)

    def capture(self, payment, amount, final):
        payment = self.payment(payment, amount)
        self.check_held(payment)
        left = self.left(payment)
        wanted = left if amount is None else [amount]
        refuse_if(any(w > has for w, has in zip(wanted, left, strict=True)), "capture_exceeds_hold")
        self.check_accounts(payment)
        self.book(payment, wanted)
        if final or not any(self.left(payment)):
            payment["state"] = "settled"
            self.release(payment)
        return self.told(payment)

    def void(self, payment):
        payment = self.payment(payment)
        self.check_held(payment)
        self.release(payment)
        payment["state"] = "settled" if any(payment["captured"]) else "voided"
        return self.told(payment)

    def expire(self, payment):
        payment = self.payment(payment)
        refuse_if(payment["state"] not in HELD or self.now < payment["expires_at"], "nothing_due")
        self.release(payment)
        payment["ended_by_deadline"] = payment["state"] == "held"
        payment["state"] = "settled" if any(payment["captured"]) else "expired"
        return self.told(payment)

    def execute(self, payment):
        payment = self.payment(payment)
        waits = payment["state"] == "scheduled" and self.now >= payment["terms"]["execute_at"]
        refuse_if(not waits, "nothing_due")
        try:
            self.check_accounts(payment)
            payment["state"] = "settled"
            return self.make(payment)
        except Refusal:
            payment["state"] = "refused"
            raise

    def cancel(self, payment):
        payment = self.payment(payment)
        waits = payment["state"] == "scheduled" and self.now < payment["terms"]["execute_at"]
        refuse_if(not waits, "payment_not_cancelable")
        payment["state"] = "canceled"
        return self.told(payment, ())

    def refund(self, key, payment, amount):
        of, payment = payment, self.payment(payment, amount)
        over = payment["state"] == "settled" or (
            payment["state"] == "held"
            and self.now >= payment["expires_at"]
            and any(payment["captured"])
        )
        left = [c - r for c, r in zip(payment["captured"], payment["refunded"], strict=True)]
        wanted = left if amount is None else [amount]
        postings = tuple(
            (credit, debit, want, currency)
            for (debit, credit, _, currency), want in reversed(
                [*zip(payment["postings"], wanted, strict=True)]
            )
            if want
        )
        # No hold, whatever the payment is that it would have given back.
        no_hold = {"expires_at": None, "ended_by_deadline": False}
        self.payments[key] = {**payment, "state": "refused", "refund_of": of, **no_hold}
        refuse_if(not over or payment["refund_of"] is not None, "payment_not_refundable")
        too_much = any(want > has for want, has in zip(wanted, left, strict=True))
        refuse_if(too_much or not any(wanted), "refund_exceeds_payment")
        told = self.pay(key, postings, {"refund_of": of})
        payment["refunded"] = [r + w for r, w in zip(payment["refunded"], wanted, strict=True)]
        return told

    # Rules --------------------------------------------------------------------------------

    def payment(self, key, amount=None):
        refuse_if(key not in self.payments, "not_found")
        payment = self.payments[key]
        refuse_if(amount is not None and len(payment["postings"]) > 1, "invalid_request")
        return payment

    def check_held(self, payment):
        over = payment["state"] == "held" and self.now >= payment["expires_at"]
        refuse_if(over or payment["ended_by_deadline"], "hold_expired")
        refuse_if(payment["state"] != "held", "payment_not_held")

    def check_accounts(self, payment, frozen=True):
        for debit, credit, _, _ in payment["postings"]:
            refuse_if(debit == credit, "same_account")
        for debit, credit, _, currency in payment["postings"]:
            for account in (self.accounts.get(debit), self.accounts.get(credit)):
                refuse_if(account is None, "account_unknown")
                refuse_if(account["is_"] == "closed", "account_closed")
                refuse_if(account["is_"] == "frozen" and frozen, "account_frozen")
                refuse_if(account["currency"] != currency, "currency_mismatch")

    def check_conditions(self, payment):
        for name, what, op, value in payment["terms"].get("conditions", ()):
            account = self.accounts.get(name)
            refuse_if(account is None, "condition_failed")
            told = account.get(what)
            if what == "available" and (told := self.available(name)) is None:
                told = float("inf")
            refuse_if(not COMPARE[op](told, value), "condition_failed")

    def check_funds(self, posting, moved, held):
        """As if the ones before had been made: `moved` is what they did, by name and balance."""

        def now(name, balance):
            if balance == "posted":
                return self.accounts[name]["posted"] + moved.get((name, "posted"), 0)
            return self.pending(name, balance, self.now) + moved.get((name, balance), 0)

        debit, credit, amount, _ = posting
        lowered = self.lowered(debit, credit)
        if not isinstance(amount, int):
            has = [now(n, "posted") - now(n, self.lowering(n)) for n in lowered]
            refuse_if(not has or min(has) <= 0, "nothing_available")
            amount = posting[2] = min(*has, MOST, MOST if amount == "all" else amount[1])
        for name, side in ((debit, "debit"), (credit, "credit")):
            sign = 1 if side == self.side(name) else -1
            what, by = (side, amount) if held else ("posted", sign * amount)
            moved[name, what] = moved.get((name, what), 0) + by
        for name in lowered:
            low = self.accounts[name]["low"]
            free = now(name, "posted") - now(name, self.lowering(name))
            refuse_if(low is not None and free + low < 0, "insufficient_funds")
        for name in (debit, credit):
            high = self.accounts[name]["high"]
            full = now(name, "posted") + now(name, self.side(name))
            refuse_if(
                name not in lowered and high is not None and full > high, "max_balance_exceeded"
            )
        for name in (debit, credit):
            least = now(name, "posted") - now(name, self.lowering(name))
            most = now(name, "posted") + now(name, self.side(name))
            refuse_if(least < LOWEST or most > HIGHEST, "balance_overflow")

    def check_limits(self, payment):
        carrier = payment["terms"].get("carrier", "api")
        others = [other for other in self.payments.values() if other is not payment]
        debited = {}
        for debit, _, amount, _ in payment["postings"]:
            debited[debit] = debited.get(debit, 0) + amount
        for name, amount in debited.items():
            for limit in self.accounts[name]["limits"]:
                mine = limit["limit"][1] in (None, carrier)
                if mine and not fits(limit, others, name, self.now, amount):
                    frees = frees_at(limit, others, name, self.now, amount)
                    raise Refusal(("limit_exceeded", frees))

    # Balances -----------------------------------------------------------------------------

    def book(self, payment, amounts):
        for number, (posting, amount) in enumerate(zip(payment["postings"], amounts, strict=True)):
            if amount:
                for name, side in ((posting[0], "debit"), (posting[1], "credit")):
                    self.accounts[name]["posted"] += amount if side == self.side(name) else -amount
                payment["captured"][number] += amount
                self.touch(*posting[:2])

    def release(self, payment):
        """What is left is held no more: an event on each side of a posting that has some."""
        for posting, left in zip(payment["postings"], self.left(payment), strict=True):
            if left:
                self.touch(*posting[:2])

    def touch(self, *names):
        for name in names:
            self.accounts[name]["version"] += 1

    def left(self, payment):
        return [
            p[2] - captured
            for p, captured in zip(payment["postings"], payment["captured"], strict=True)
        ]

    def side(self, name):
        return self.accounts[name]["side"]

    def lowering(self, name):
        return "debit" if self.side(name) == "credit" else "credit"

    def lowered(self, debit, credit):
        """Of the two, those whose balance a posting between them lowers."""
        sides = ((debit, "credit"), (credit, "debit"))
        return tuple(name for name, side in sides if self.side(name) == side)

    def balance(self, name):
        return self.accounts[name]["posted"]

    def pending(self, name, side, at):
        """What open holds have left on that side of the account."""
        return sum(
            left
            for payment in self.payments.values()
            if payment["state"] in HELD and payment["expires_at"] and at < payment["expires_at"]
            for posting, left in zip(payment["postings"], self.left(payment), strict=True)
            if posting[side == "credit"] == name
        )

    def available(self, name):
        low = self.accounts[name]["low"]
        free = self.accounts[name]["posted"] - self.pending(name, self.lowering(name), self.now)
        return None if low is None else free + low

    def told(self, payment, concerned=None):
        """State, amounts by posting, and the balances of every account concerned."""
        if concerned is None:
            concerned = {name for posting in payment["postings"] for name in posting[:2]}
        amounts = tuple(
            (posting[2] if isinstance(posting[2], int) else 0, captured, refunded)
            for posting, captured, refunded in zip(
                payment["postings"], payment["captured"], payment["refunded"], strict=True
            )
        )
        balances = {
            name: (
                self.accounts[name]["posted"],
                self.pending(name, "debit", self.now),
                self.pending(name, "credit", self.now),
                self.available(name),
            )
            for name in concerned
        }
        return payment["state"], amounts, balances
