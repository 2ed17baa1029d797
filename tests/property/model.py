"""What the ledger should do, told again from docs/money.md; imports nothing of ours."""


class Model:
    def __init__(self):
        self.accounts, self.answers = {}, {}

    def send(self, key, request):
        """The outcome of a request under a key: `("ok", detail)` or `("refused", code)`."""
        if key in self.answers:
            before, outcome = self.answers[key]
            return outcome if before == request else ("refused", "idempotency_key_reused")
        outcome = getattr(self, request[0])(*request[1:])
        if outcome[1] not in ("account_exists", "not_found", "account_not_empty"):
            self.answers[key] = (request, outcome)
        return outcome

    def open(self, name, currency, side, overdraft, maximum):
        if name in self.accounts:
            return "refused", "account_exists"
        self.accounts[name] = {
            "currency": currency,
            "side": side,
            "low": overdraft,
            "high": maximum,
            "debits": 0,
            "credits": 0,
            "is_": "open",
        }
        return "ok", "open"

    def status(self, name, wanted):
        account = self.accounts.get(name)
        if account is None:
            return "refused", "not_found"
        if account["is_"] == "closed":
            return ("ok", "closed") if wanted == "closed" else ("refused", "account_closed")
        if wanted == "closed" and self.balance(name):
            return "refused", "account_not_empty"
        account["is_"] = wanted
        return "ok", wanted

    def limit(self, name, overdraft, maximum):
        account = self.accounts.get(name)
        if account is None:
            return "refused", "not_found"
        if account["is_"] == "closed":
            return "refused", "account_closed"
        account["low"], account["high"] = overdraft, maximum
        return "ok", account["is_"]

    def pay(self, *postings):
        for debit, credit, _, _ in postings:
            if debit == credit:
                return "refused", "same_account"
        for debit, credit, _, currency in postings:
            for account in (self.accounts.get(debit), self.accounts.get(credit)):
                if account is None:
                    return "refused", "account_unknown"
                if account["is_"] != "open":
                    return "refused", "account_" + account["is_"]
                if account["currency"] != currency:
                    return "refused", "currency_mismatch"
        before = {name: dict(account) for name, account in self.accounts.items()}
        for debit, credit, amount, _ in postings:
            self.accounts[debit]["debits"] += amount
            self.accounts[credit]["credits"] += amount
            lowered = [n for n, s in ((debit, "credit"), (credit, "debit")) if self.side(n) == s]
            raised = [n for n in (debit, credit) if n not in lowered]
            broken = [
                code
                for code, names, bound in (
                    ("insufficient_funds", lowered, "low"),
                    ("max_balance_exceeded", raised, "high"),
                )
                for n in names
                if (limit := self.accounts[n][bound]) is not None
                and (-self.balance(n) if bound == "low" else self.balance(n)) > limit
            ]
            if broken:
                self.accounts = before
                return "refused", broken[0]
        return "ok", tuple(self.balance(name) for posting in postings for name in posting[:2])

    def side(self, name):
        return self.accounts[name]["side"]

    def balance(self, name):
        account = self.accounts[name]
        net = account["credits"] - account["debits"]
        return net if account["side"] == "credit" else -net
