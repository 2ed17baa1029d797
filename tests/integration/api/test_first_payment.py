"""The README's first payment, over HTTP."""

from tests.fixtures.fix_api import Api


def test_the_first_payment_moves_money_and_every_read_shows_it(api: Api) -> None:
    api.open("cash", overdraft_limit=None, normal_side="debit")
    api.open("alice", "bob")
    assert api.pay("cash", "alice", 1000).status_code == 201

    paid = api.pay("alice", "bob", 400)

    assert paid.status_code == 201
    payment = paid.json()
    assert [balance["posted"] for balance in payment["balances"]] == [600, 400]
    position = payment["position"]
    balance = api.get("/v1/accounts/alice/balance", min_position=position)
    assert balance.headers["Ledger-Position"] == str(position)
    assert balance.json()["posted"] == balance.json()["available"] == 600
    payment.pop("balances")
    assert api.get(f"/v1/payments/{payment['id']}", min_position=position).json() == payment
    assert api.get("/v1/trial-balance", min_position=position).json() == {
        "position": position,
        "balanced": True,
        "currencies": [{"currency": "EUR", "total_debits": 1000, "total_credits": 1000}],
    }
    history = api.get("/v1/events", role="auditor").json()
    assert [item["position"] for item in history["items"]] == list(range(1, position + 1))
