"""Payment requests over the API: what each command comes to, and what reads show of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fixtures.fix_api import Api

pytestmark = pytest.mark.usefixtures("shared_api")


@pytest.fixture(scope="module")
def api(shared_api: Api) -> Api:
    shared_api.open("cash", normal_side="debit", overdraft_limit=None)
    shared_api.open("shop", "alice")
    assert shared_api.pay("cash", "alice", 10**6).status_code == 201
    return shared_api


def opened(api: Api, amount: int | None = 1050, **members: Any) -> dict[str, Any]:
    body = {"credit_account": "shop", "amount": amount, "currency": "EUR", **members}
    answer = api.post("/v1/payment-requests", body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def pay(api: Api, request: dict[str, Any], revision: int = 1, **members: Any) -> Any:
    body = {"debit_account": "alice", "revision": revision, **members}
    return api.post(f"/v1/payment-requests/{request['id']}/pay", body)


def got(api: Api, request: dict[str, Any], position: int | None = None) -> dict[str, Any]:
    at = {} if position is None else {"min_position": position}
    answer = api.get(f"/v1/payment-requests/{request['id']}", **at)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_request_is_opened_as_it_was_asked_for(api: Api) -> None:
    asked = {
        "credit_account": "shop",
        "amount": 1050,
        "currency": "EUR",
        "reference": "order-17",
        "description": "Tea",
        "expires_in_s": 60,
        "metadata": {"table": "4"},
    }
    answer = api.post("/v1/payment-requests", asked)
    assert answer.status_code == 201
    made = answer.json()
    assert {name: made[name] for name in asked} == asked
    assert (made["state"], made["revision"], made["payment_id"]) == ("open", 1, None)
    created = datetime.fromisoformat(made["created_at"])
    assert datetime.fromisoformat(made["expires_at"]) - created == timedelta(seconds=60)
    assert created <= datetime.now(UTC)
    assert made["url"].startswith(f"{api.url}/p/")
    assert got(api, made, made["position"]) == made


def test_it_is_paid_once(api: Api) -> None:
    request = opened(api, reference="r", metadata={"k": "v"})
    answer = pay(api, request)
    assert answer.status_code == 201, answer.text
    payment = answer.json()
    assert payment["payment_request"] == request["id"]
    told = ("state", "carrier", "reference", "metadata")
    assert [payment[name] for name in told] == ["settled", "qr", "r", {"k": "v"}]
    assert [posting["amount"] for posting in payment["postings"]] == [1050]
    paid = got(api, request, payment["position"])
    assert (paid["state"], paid["payment_id"]) == ("paid", payment["id"])
    assert paid["position"] == payment["position"]
    read = api.get(f"/v1/payments/{payment['id']}").json()
    assert read == {name: value for name, value in payment.items() if name != "balances"}
    again = pay(api, request)
    assert (again.status_code, again.json()["code"]) == (422, "request_paid")
    assert again.json()["payment_request"] == request["id"]
    assert "payment_id" not in again.json()


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_what_a_request_refuses_makes_no_payment_and_is_refused_again(api: Api) -> None:
    fixed, open_ = opened(api), opened(api, None)
    before = api.get("/v1/payments", account="shop").json()["items"]
    for answer, code in (
        (pay(api, fixed, 2), "revision_changed"),
        (pay(api, open_), "amount_required"),
        (pay(api, fixed, amount=1051), "amount_fixed"),
    ):
        assert refused(answer) == (422, code)
    body = {"debit_account": "alice", "revision": 7}
    path = f"/v1/payment-requests/{fixed['id']}/pay"
    first = api.post(path, body, key="once")
    again = api.post(path, body, key="once")
    assert first.json()["revision"] == 1
    ids = ("request_id",)
    told = [{k: v for k, v in each.json().items() if k not in ids} for each in (first, again)]
    assert told[0] == told[1]
    assert again.headers["Idempotent-Replayed"] == "true"
    position = first.json()["position"]
    after = api.get("/v1/payments", account="shop", min_position=position).json()["items"]
    assert after == before
    assert pay(api, fixed, amount=1050).status_code == 201
    chosen = pay(api, open_, amount=7, carrier="nfc")
    assert chosen.status_code == 201
    assert (chosen.json()["carrier"], chosen.json()["postings"][0]["amount"]) == ("nfc", 7)


@pytest.mark.parametrize(
    ("payer", "code"),
    [("shop", "same_account"), ("nobody", "account_unknown"), ("poor", "insufficient_funds")],
)
def test_a_payment_that_is_refused_leaves_the_request_open(api: Api, payer: str, code: str) -> None:
    if payer == "poor":
        api.post("/v1/accounts", {"id": "poor", "currency": "EUR"}, role="admin")
    request = opened(api)
    answer = pay(api, request, debit_account=payer)
    assert refused(answer) == (422, code)
    made = api.get(f"/v1/payments/{answer.json()['payment_id']}").json()
    assert (made["state"], made["payment_request"]) == ("refused", request["id"])
    assert got(api, request, answer.json()["position"])["state"] == "open"
    assert pay(api, request).status_code == 201


def test_a_change_is_a_new_revision_and_an_empty_one_is_none(api: Api) -> None:
    request = opened(api, description="tea")
    path = f"/v1/payment-requests/{request['id']}"
    changed = api.send("PATCH", path, {"amount": None, "expires_in_s": 30})
    assert changed.status_code == 200
    told = changed.json()
    assert (told["revision"], told["amount"], told["description"]) == (2, None, "tea")
    assert told["url"] == request["url"]
    assert told["qr_text"] != request["qr_text"]
    assert got(api, request, told["position"]) == told
    empty = api.send("PATCH", path, {})
    assert {**empty.json(), "position": None} == {**told, "position": None}
    assert api.send("PATCH", path, {"description": None}).json()["revision"] == 2
    assert refused(pay(api, request)) == (422, "revision_changed")
    assert pay(api, request, 2, amount=3).status_code == 201
    assert refused(api.send("PATCH", path, {})) == (422, "request_paid")


def test_a_request_is_canceled_once_and_a_second_time_is_fine(api: Api) -> None:
    request = opened(api)
    path = f"/v1/payment-requests/{request['id']}"
    first = api.post(f"{path}/cancel", {}, key="cancel-1")
    assert (first.status_code, first.json()["state"]) == (200, "canceled")
    second = api.post(f"{path}/cancel", key="cancel-2")
    assert (second.status_code, second.json()["state"]) == (200, "canceled")
    for answer in (pay(api, request), api.send("PATCH", path, {"amount": 1})):
        assert refused(answer) == (422, "request_canceled")
    paid = opened(api)
    assert pay(api, paid).status_code == 201
    assert refused(api.post(f"/v1/payment-requests/{paid['id']}/cancel")) == (422, "request_paid")
    for key, answer in (("cancel-1", first), ("cancel-2", second)):
        again = api.post(f"{path}/cancel", {}, key=key)
        assert again.json() == answer.json()
        assert again.headers["Idempotent-Replayed"] == "true"


def test_every_first_answer_comes_again(api: Api) -> None:
    body = {"credit_account": "shop", "amount": 5, "currency": "EUR", "description": "again"}
    first = api.post("/v1/payment-requests", body, key="open-again")
    path = f"/v1/payment-requests/{first.json()['id']}"
    changed = api.send("PATCH", path, {"amount": 6}, key="change-again")
    paying = {"debit_account": "alice", "revision": 2}
    paid = api.post(f"{path}/pay", paying, key="pay-again")
    assert paid.status_code == 201
    for answer, again in (
        (first, api.post("/v1/payment-requests", body, key="open-again")),
        (changed, api.send("PATCH", path, {"amount": 6}, key="change-again")),
        (paid, api.post(f"{path}/pay", paying, key="pay-again")),
    ):
        assert (again.status_code, again.json()) == (answer.status_code, answer.json())
        assert again.headers["Idempotent-Replayed"] == "true"
    other = api.post(f"{path}/pay", {**paying, "amount": 6}, key="pay-again")
    assert refused(other) == (422, "idempotency_key_reused")


def test_a_dry_run_records_nothing(api: Api) -> None:
    request = opened(api)
    path = f"/v1/payment-requests/{request['id']}"
    body = {"debit_account": "alice", "revision": 1}
    dry = api.post(f"{path}/pay", body, dry_run=True, key=None)
    assert (dry.status_code, dry.json()["payment_request"]) == (200, request["id"])
    for step, sent in (
        (f"{path}/cancel", {}),
        ("/v1/payment-requests", {"credit_account": "shop", "currency": "EUR"}),
    ):
        assert api.post(step, sent, dry_run=True, key=None).status_code == 200
    assert pay(api, request).status_code == 201


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"credit_account": "nobody", "currency": "EUR"}, "account_unknown"),
        ({"credit_account": "shop", "currency": "USD"}, "currency_mismatch"),
        ({"credit_account": "gone", "currency": "EUR"}, "account_closed"),
    ],
)
def test_a_request_that_nobody_could_pay_is_refused(
    api: Api, body: dict[str, Any], code: str
) -> None:
    if code == "account_closed":
        api.open("gone")
        closed = api.post("/v1/accounts/gone/close", {"reason": "moved"}, role="admin")
        assert closed.status_code == 200
    answer = api.post("/v1/payment-requests", body, key=f"refused-{code}")
    assert refused(answer) == (422, code)
    assert answer.json()["account"] == body["credit_account"]
    again = api.post("/v1/payment-requests", body, key=f"refused-{code}")
    assert refused(again) == (422, code)
    assert again.headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": 0},
        {"amount": 10.0},
        {"amount": 2**53},
        {"currency": "XAU"},
        {"description": "x" * 141},
        {"expires_in_s": 29},
        {"expires_in_s": 2_592_001},
        {"reference": "x" * 65},
        {"debit_account": "alice"},
        {"state": "paid"},
    ],
    ids=str,
)
def test_a_request_of_the_wrong_shape_is_refused(api: Api, wrong: dict[str, Any]) -> None:
    body = {"credit_account": "shop", "currency": "EUR", **wrong}
    answer = api.post("/v1/payment-requests", body)
    assert refused(answer) == (400, "invalid_request")
    assert answer.json()["errors"][0]["pointer"] == f"/{next(iter(wrong))}"


def test_what_no_request_has_is_not_found(api: Api) -> None:
    payment = api.pay("alice", "shop", 1).json()["id"]
    for id in ("nothing", "0f7d2c9e-6a53-5a0b-9d44-0c5a3a0f7b11", payment):
        path = f"/v1/payment-requests/{id}"
        body = {"debit_account": "alice", "revision": 1}
        for answer in (
            api.get(path),
            api.get(f"{path}/qr"),
            api.send("PATCH", path, {}),
            api.post(f"{path}/cancel"),
            api.post(f"{path}/pay", body),
        ):
            assert refused(answer) == (404, "not_found"), id


def test_an_account_is_no_request_and_a_request_no_payment(api: Api) -> None:
    request = opened(api)
    for path in ("capture", "void", "cancel", "refunds"):
        answer = api.post(f"/v1/payments/{request['id']}/{path}", {})
        assert refused(answer) == (404, "not_found")
    assert refused(api.get(f"/v1/payments/{request['id']}")) == (404, "not_found")


def test_requests_are_listed_newest_first_by_account_and_state(api: Api) -> None:
    api.open("stall")
    made = [opened(api, credit_account="stall") for _ in range(5)]
    paid = pay(api, made[1]).json()
    canceled = api.post(f"/v1/payment-requests/{made[3]['id']}/cancel").json()
    at = {"credit_account": "stall", "min_position": canceled["position"]}
    listed = api.get("/v1/payment-requests", **at)
    newest = [each["id"] for each in reversed(made)]
    assert [each["id"] for each in listed.json()["items"]] == newest
    assert int(listed.headers["Ledger-Position"]) == listed.json()["position"]
    for state, wanted in (
        ("open", [4, 2, 0]),
        ("paid", [1]),
        ("canceled", [3]),
        ("expired", []),
    ):
        items = api.get("/v1/payment-requests", **at, state=state).json()["items"]
        assert [each["id"] for each in items] == [made[number]["id"] for number in wanted]
    walked: list[str] = []
    cursor = None
    while True:
        page = api.get(
            "/v1/payment-requests", **at, limit=2, **({"cursor": cursor} if cursor else {})
        )
        walked += [each["id"] for each in page.json()["items"]]
        cursor = page.json()["next_cursor"]
        if cursor is None:
            break
    assert walked == newest
    assert paid["payment_request"] == made[1]["id"]
    others = api.get("/v1/payment-requests", credit_account="shop", limit=1).json()["items"]
    assert others[0]["credit_account"] == "shop"
    assert refused(api.get("/v1/payment-requests", state="held")) == (400, "invalid_request")


def test_readers_may_read_and_only_clients_may_ask_and_pay(api: Api) -> None:
    request = opened(api)
    path = f"/v1/payment-requests/{request['id']}"
    for role in ("reporter", "auditor", "admin"):
        for read in (path, f"{path}/qr", "/v1/payment-requests"):
            assert api.get(read, role=role).status_code == 200
        body = {"debit_account": "alice", "revision": 1}
        assert refused(api.post(f"{path}/pay", body, role=role)) == (403, "forbidden")
        assert refused(api.post(f"{path}/cancel", role=role)) == (403, "forbidden")
    assert refused(api.get(path, role=None)) == (401, "unauthenticated")


def test_the_history_tells_it_and_never_its_token(api: Api) -> None:
    request = opened(api, reference="history")
    position = pay(api, request).json()["position"]
    items = api.get("/v1/events", after=request["position"] - 2, role="auditor").json()["items"]
    ours = [each for each in items if each["position"] <= position]
    assert [each["type"] for each in ours] == [
        "tally.payment_request.opened.v1",
        "tally.command.decided.v1",
        "tally.payment.settled.v1",
        "tally.account.debited.v1",
        "tally.account.credited.v1",
        "tally.payment_request.paid.v1",
    ]
    assert ours[0]["stream"] == ours[-1]["stream"] == request["id"]
    assert ours[1]["data"]["payment_request"] == request["id"]
    assert ours[1]["data"]["account"] == "shop"
    assert ours[2]["data"]["payment_request"] == request["id"]
    token = request["url"].rpartition("/")[2]
    assert token not in str(items)
