"""A payment that its payer is to confirm: one answer, the first, and no money moves before it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from tests.fixtures.fix_steps import Clock
from tests.fixtures.fix_tills import Till, told

ENDS = {"confirm": "settled", "decline": "declined", "cancel": "canceled"}


def test_the_money_is_held_until_the_payer_answers(till: Till, hands: Clock) -> None:
    pending = till.pending(100)
    read = till.api.get(f"/v1/payments/{pending}").json()
    assert read["state"] == "pending_confirmation"
    assert read["hold_expires_at"] is None
    deadline = datetime.fromisoformat(read["confirm_expires_at"])
    assert deadline == datetime.fromisoformat(read["created_at"]) + timedelta(seconds=45)
    payer, shop = till.balance(till.payer), till.balance(till.shop)
    assert (payer["posted"], payer["pending_debit"], payer["available"]) == (1000, 100, 900)
    assert (shop["posted"], shop["pending_credit"]) == (0, 100)
    confirmed = till.step(pending, "confirm", key=f"yes-{till.payer}")
    assert told(confirmed) == (200, "settled")
    assert confirmed.json()["postings"][0]["captured"] == 100
    again = till.step(pending, "confirm", key=f"yes-{till.payer}")
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (confirmed.json(), "true")
    end = till.api.get(f"/v1/payments/{pending}", min_position=confirmed.json()["position"])
    assert end.json() == {k: v for k, v in confirmed.json().items() if k != "balances"}
    assert till.balance(till.shop)["posted"] == 100


@pytest.mark.parametrize(("first", "then"), [*itertools.product(ENDS, ENDS)])
def test_the_first_answer_stands(till: Till, first: str, then: str) -> None:
    pending = till.pending(100)
    assert told(till.step(pending, first)) == (200, ENDS[first])
    late = till.step(pending, then)
    assert told(late) == (422, "payment_not_pending")
    assert late.json()["payment_id"] == pending
    payer = till.balance(till.payer)
    moved = 100 if first == "confirm" else 0
    assert (payer["posted"], payer["pending_debit"]) == (1000 - moved, 0)


@pytest.mark.parametrize("early", [1, 0, -1])
@pytest.mark.parametrize("answer", ENDS)
def test_to_the_microsecond(till: Till, hands: Clock, answer: str, early: int) -> None:
    pending = till.pending(100)
    read = till.api.get(f"/v1/payments/{pending}").json()
    hands.now = datetime.fromisoformat(read["confirm_expires_at"]) - timedelta(microseconds=early)
    in_time = early > 0
    said = till.step(pending, answer)
    assert told(said) == ((200, ENDS[answer]) if in_time else (422, "payment_not_pending"))
    read = till.api.get(f"/v1/payments/{pending}", min_position=said.json()["position"]).json()
    assert read["state"] == (ENDS[answer] if in_time else "expired")


def test_a_frozen_account_keeps_it_pending(till: Till) -> None:
    pending = till.pending(100)
    freeze = f"/v1/accounts/{till.shop}/freeze"
    assert till.api.post(freeze, {"reason": "why"}, role="admin").status_code == 200
    assert told(till.step(pending, "confirm")) == (422, "account_frozen")
    assert till.api.get(f"/v1/payments/{pending}").json()["state"] == "pending_confirmation"
    assert told(till.step(pending, "decline")) == (200, "declined")


@pytest.mark.parametrize("verb", ["confirm", "decline"])
def test_what_never_waited_can_t_be_answered(till: Till, verb: str) -> None:
    settled = till.pay(till.issue()["code"]).json()["id"]
    assert told(till.step(settled, verb)) == (422, "payment_not_pending")
    assert told(till.step(settled, "cancel")) == (422, "payment_not_cancelable")
    assert till.step("7a1f3c55-1d2e-5b8a-9c40-2e6b7d8f9a10", verb).status_code == 404


@pytest.mark.parametrize("verb", ENDS)
def test_a_timeline_tells_what_was_held_and_what_became_of_it(till: Till, verb: str) -> None:
    pending = till.pending(100)
    end = till.step(pending, verb).json()["position"]
    path = f"/v1/payments/{pending}/timeline"
    told = till.api.get(path, min_position=end).json()["items"]
    done = {"confirm": "confirmed", "decline": "declined", "cancel": "canceled"}[verb]
    assert [(one["type"], one["amount"]) for one in told] == [
        ("tally.payment.pending.v1", 100),
        (f"tally.payment.{done}.v1", 100),
    ]


def test_lists_by_state_follow_the_clock(till: Till, hands: Clock) -> None:
    pending = till.pending(100)

    def listed(state: str) -> list[str]:
        end = till.api.get("/v1/status").json()["end"]
        answer = till.api.get("/v1/payments", account=till.payer, state=state, min_position=end)
        return [one["id"] for one in answer.json()["items"]]

    assert listed("pending_confirmation") == [pending]
    assert listed("expired") == []
    hands.later(seconds=45)
    assert listed("pending_confirmation") == []
    assert listed("expired") == [pending]


def test_confirm_cancel_and_deadline_in_every_order(
    till: Till, hands: Clock, scaled: Callable[..., int], figure: Callable[[str, object], None]
) -> None:
    """Payer, cashier and clock at once: one end, the same for all, nothing held after it."""
    ways = [order for count in (2, 3) for order in itertools.permutations((*ENDS, "time"), count)]
    ends: dict[str, int] = {}
    races = scaled(1000, least=len(ways))
    till = Till.made(till.api, 100 * races)
    paid = 0
    with ThreadPoolExecutor(4) as pool:
        for order in itertools.islice(itertools.cycle(ways), races):
            pending = till.pending(10)
            moves = {
                **{
                    verb: lambda verb=verb, of=pending: till.step(of, verb)  # type: ignore[misc]
                    for verb in ENDS
                },
                "time": lambda: hands.later(seconds=45),
            }
            sent = {step: pool.submit(moves[step]) for step in order}
            won = [
                step
                for step, one in sent.items()
                if step != "time" and one.result().status_code == 200
            ]
            [one.result() for one in sent.values()]
            hands.later(seconds=45)
            end = till.api.get("/v1/status").json()["end"]
            read = till.api.get(f"/v1/payments/{pending}", min_position=end).json()
            assert read["state"] == (ENDS[won[0]] if won else "expired")
            assert len(won) <= 1
            paid += 10 * (read["state"] == "settled")
            ends[read["state"]] = ends.get(read["state"], 0) + 1
    payer, shop = till.balance(till.payer), till.balance(till.shop)
    assert (payer["posted"], payer["pending_debit"]) == (100 * races - paid, 0)
    assert (shop["posted"], shop["pending_credit"]) == (paid, 0)
    figure("payer, cashier and deadline raced", races)
    figure("ends of those races", ", ".join(f"{n} {state}" for state, n in sorted(ends.items())))
