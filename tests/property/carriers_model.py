"""Payment requests, pay codes and confirmations, told again from the contract as the model is."""

from datetime import timedelta

from tests.property.model import Model
from tests.property.outcomes import refuse_if

CONFIRM_S = 45


class CarriersModel(Model):
    MAKES = (*Model.MAKES, "ask", "pay_ask", "issue", "show")

    def __init__(self, *recorded):
        super().__init__(*recorded)
        self.asks, self.codes = {}, {}

    # Payment requests ---------------------------------------------------------------------

    def ask(self, key, credit, amount, currency, seconds):
        self.check_party(credit, currency)
        self.asks[key] = {
            "state": "open",
            "revision": 1,
            "amount": amount,
            "credit": credit,
            "currency": currency,
            "expires_at": self.now + timedelta(seconds=seconds),
        }
        return self.told_ask(self.asks[key])

    def change_ask(self, name, amount, seconds):
        ask = self.of(self.asks, name)
        self.check_open(ask)
        if amount is not None:
            ask["amount"] = amount
        if seconds is not None:
            ask["expires_at"] = self.now + timedelta(seconds=seconds)
        ask["revision"] += amount is not None or seconds is not None
        return self.told_ask(ask)

    def cancel_ask(self, name):
        ask = self.of(self.asks, name)
        if ask["state"] != "canceled":
            self.check_open(ask)
        ask["state"] = "canceled"
        return self.told_ask(ask)

    def expire_ask(self, name):
        ask = self.of(self.asks, name)
        refuse_if(ask["state"] != "open" or self.now < ask["expires_at"], "nothing_due")
        ask["state"] = "expired"
        return self.told_ask(ask)

    def pay_ask(self, key, name, debit, revision, amount, carrier):
        ask = self.of(self.asks, name)
        self.check_open(ask)
        refuse_if(revision != ask["revision"], "revision_changed")
        refuse_if(amount is None and ask["amount"] is None, "amount_required")
        refuse_if(None not in (amount, ask["amount"]) and amount != ask["amount"], "amount_fixed")
        posting = (debit, ask["credit"], amount or ask["amount"], ask["currency"])
        told = self.pay(key, (posting,), {"carrier": carrier})
        ask["state"] = "paid"
        return told

    def check_open(self, ask):
        over = ask["state"] == "open" and self.now >= ask["expires_at"]
        state = "expired" if over else ask["state"]
        refuse_if(state != "open", f"request_{state}")

    def told_ask(self, ask):
        return ask["state"], ask["revision"], ask["amount"]

    # Pay codes ----------------------------------------------------------------------------

    def issue(self, key, account, currency, most, above, seconds):
        self.check_party(account, currency)
        self.codes[key] = {
            "state": "live",
            "account": account,
            "currency": currency,
            "most": most,
            "above": above,
            "expires_at": self.now + timedelta(seconds=seconds),
        }
        return "live", most

    def expire_code(self, name):
        code = self.of(self.codes, name)
        refuse_if(code["state"] != "live" or self.now < code["expires_at"], "nothing_due")
        code["state"] = "expired"
        return "expired", code["most"]

    def show(self, key, name, credit, amount, currency, carrier):
        code = self.codes[name]
        posting, terms = (code["account"], credit, amount, currency), {"carrier": carrier}
        self.payments[key] = {
            "state": "refused",
            "postings": [posting],
            "terms": terms,
            "captured": [0],
            "refunded": [0],
            "expires_at": None,
            "ended_by_deadline": False,
            "refund_of": None,
        }
        live = code["state"] == "live" and self.now < code["expires_at"]
        refuse_if(not live, "pay_code_invalid")
        refuse_if(currency != code["currency"], "currency_mismatch")
        refuse_if(amount > code["most"], "pay_code_exceeded")
        if code["above"] is not None and amount > code["above"]:
            terms |= {"hold_s": CONFIRM_S, "to": "pending_confirmation"}
        told = self.pay(key, (posting,), terms)
        code["state"] = "used"
        return told

    # What waits for its payer -------------------------------------------------------------

    def confirm(self, payment):
        payment = self.pending_one(payment)
        self.check_accounts(payment)
        self.book(payment, self.left(payment))
        payment["state"] = "settled"
        return self.told(payment)

    def decline(self, payment):
        payment = self.pending_one(payment)
        self.release(payment)
        payment["state"] = "declined"
        return self.told(payment)

    def cancel(self, payment):
        was_pending = self.payment(payment)["expires_at"] and "to" in self.payment(payment)["terms"]
        if not was_pending:
            return super().cancel(payment)
        payment = self.pending_one(payment)
        self.release(payment)
        payment["state"] = "canceled"
        return self.told(payment)

    def pending_one(self, payment):
        payment = self.payment(payment)
        waits = payment["state"] == "pending_confirmation" and self.now < payment["expires_at"]
        refuse_if(not waits, "payment_not_pending")
        return payment

    # Both ---------------------------------------------------------------------------------

    def of(self, things, name):
        refuse_if(name not in things, "not_found")
        return things[name]

    def check_party(self, name, currency):
        """A frozen account may be one: by the time of the payment it may be no more."""
        account = self.accounts.get(name)
        refuse_if(account is None, "account_unknown")
        refuse_if(account["is_"] == "closed", "account_closed")
        refuse_if(account["currency"] != currency, "currency_mismatch")
