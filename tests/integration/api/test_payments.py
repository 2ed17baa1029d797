"""What becomes of payments, over HTTP: as it was answered, and as it happened."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from application.answers import Answer
from application.commands import CancelPayment, CapturePayment, RefundPayment, VoidPayment
from tests.fixtures.fix_api import Api, an_api
from tests.fixtures.fix_events import History
from tests.fixtures.fix_ledger import clock, command, payment
from tests.fixtures.fix_postgres import Cluster
from tests.fixtures.fix_projections import catch_up
from tests.fixtures.fix_tally import until

TWO = ("alice", "bob", 30), ("bob", "carol", 10)
ONE = ("alice", "bob", 30)


@pytest.fixture(scope="module")
def town(cluster: Cluster) -> Iterator[Api]:
    """Where nothing is swept: what is read must be right all the same."""
    with cluster.store() as store, an_api(store, sweeps=False) as api:
        api.open("alice", overdraft_limit=None)
        api.open("bob", "carol")
        yield api


def done(api: Api, *commands: Any) -> Answer:
    """The answer to the last of them."""
    answer: Any = None
    for each in commands:
        answer = api.app.state.parts.writer.submit(each).result(timeout=30)
    return answer


def shown(api: Api, stream: UUID, position: int) -> Any:
    answer = api.get(f"/v1/payments/{stream}", min_position=position)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_payment_is_read_as_its_last_command_was_answered(town: Api) -> None:
    later = clock() + timedelta(days=9)

    def capture(key: str, of: Any, amount: int | None = None, *, final: bool = True) -> Any:
        return command(CapturePayment, key, payment=of.id, amount_minor=amount, final=final)

    terms: dict[str, Any] = {"reference": "order-17", "carrier": "qr"}
    settled = payment("r1", *TWO, **terms)
    held = payment("r2", *TWO, mode="hold", **terms)
    captured = payment("r3", *TWO, mode="hold")
    in_part = payment("r4", ONE, mode="hold")
    voided = payment("r5", *TWO, mode="hold")
    scheduled = payment("r6", ONE, execute_at=later, **terms)
    canceled = payment("r7", ONE, execute_at=later)
    for made in (
        (settled,),
        (held,),
        (captured, capture("r8", captured)),
        (in_part, capture("r9", in_part, 10, final=False)),
        (voided, command(VoidPayment, "r10", payment=voided.id)),
        (scheduled,),
        (canceled, command(CancelPayment, "r11", payment=canceled.id)),
    ):
        answer = done(town, *made)
        body = dict(answer.body)
        assert body.pop("balances") is not None
        assert shown(town, made[0].id, answer.position) == body
    original, refund = payment("r12", *TWO), command(RefundPayment, "r13", payment=settled.id)
    done(town, original)
    answer = done(town, refund)
    body = dict(answer.body)
    del body["balances"]
    assert shown(town, refund.id, answer.position) == body
    undone = shown(town, settled.id, answer.position)
    assert [each["refunded"] for each in undone["postings"]] == [30, 10]
    assert undone["position"] == answer.position
    refused = done(town, command(VoidPayment, "r14", payment=settled.id))
    assert refused.refusal is not None
    assert shown(town, settled.id, refused.position) == undone, "its state stays"


def test_with_nobody_sweeping_reads_are_right_all_the_same(town: Api) -> None:
    whole, part = (payment(f"w{n}", ONE, mode="hold", hold_timeout_s=1) for n in range(2))
    answer = done(
        town,
        whole,
        part,
        command(CapturePayment, "w2", payment=part.id, amount_minor=10, final=False),
    )
    assert shown(town, whole.id, answer.position)["state"] == "held"
    deadline = datetime.fromisoformat(answer.body["hold_expires_at"])
    while clock() < deadline:
        time.sleep(0.01)
    after = {each.id: shown(town, each.id, answer.position) for each in (whole, part)}
    assert [each["state"] for each in after.values()] == ["expired", "settled"]
    assert [each["postings"][0]["captured"] for each in after.values()] == [0, 10]
    listed = {
        state: [item["id"] for item in town.get("/v1/payments", state=state).json()["items"]]
        for state in ("held", "expired", "settled")
    }
    assert str(whole.id) in listed["expired"]
    assert str(part.id) in listed["settled"]
    assert not {str(whole.id), str(part.id)} & {*listed["held"]}
    assert done(town, command(VoidPayment, "w3", payment=whole.id)).refusal == {
        "code": "hold_expired",
        "payment_id": str(whole.id),
    }


def test_a_clock_that_is_behind_the_ledger_does_not_bring_a_hold_back(
    api_without_workers: Api,
) -> None:
    api = api_without_workers
    history = History(ledger=api.store.ledger, now=clock() + timedelta(days=1)).open("alice", "bob")
    held = history.hold(ONE, hold_timeout_s=60)
    history.later(seconds=60).pay(ONE)
    end = history.store(api.store.app_dsn)
    catch_up(api.store.app_dsn, ["payments"])
    assert shown(api, held, end)["state"] == "expired"
    assert [each["id"] for each in api.get("/v1/payments", state="expired").json()["items"]] == [
        str(held)
    ]


def test_every_state_can_be_asked_for_and_no_other(town: Api) -> None:
    for state in ("settled", "held", "voided", "expired", "scheduled", "canceled", "refused"):
        assert town.get("/v1/payments", state=state).status_code == 200
    assert town.get("/v1/payments", state="sung").status_code == 400


def test_a_timeline_tells_everything_that_happened(town: Api) -> None:
    held, several = payment("t1", ONE, mode="hold"), payment("t2", *TWO)
    scheduled = payment("t3", ONE, execute_at=clock() + timedelta(days=1))
    steps = (
        held,
        command(CapturePayment, "t4", payment=held.id, amount_minor=10, final=False),
        command(VoidPayment, "t5", payment=held.id),
        command(RefundPayment, "t6", payment=held.id, amount_minor=4),
        several,
        command(RefundPayment, "t7", payment=several.id),
        scheduled,
        command(CancelPayment, "t8", payment=scheduled.id, caller="clerk"),
    )
    position = done(town, *steps).position

    def told(stream: UUID) -> list[Any]:
        answer = town.get(f"/v1/payments/{stream}/timeline", min_position=position).json()
        items = answer["items"]
        assert [item["position"] for item in items] == sorted(item["position"] for item in items)
        return [
            (item["type"].split(".")[2], item["amount"], item["actor"]["caller"]) for item in items
        ]

    assert told(held.id) == [
        ("held", 30, "shop"),
        ("captured", 10, "shop"),
        ("voided", 20, "shop"),
        ("refunded", 4, "shop"),
    ]
    assert told(several.id) == [("settled", None, "shop"), ("refunded", None, "shop")]
    assert told(scheduled.id) == [("scheduled", 30, "shop"), ("canceled", None, "clerk")]


def test_the_ledgers_own_steps_are_in_the_timeline_and_the_metrics_say_if_they_wait(
    api: Api,
) -> None:
    api.open("alice", overdraft_limit=None)
    api.open("bob")
    held = payment("k1", ONE, mode="hold", hold_timeout_s=1)
    found = payment(
        "k2", ("alice", "bob", 0), execute_at=clock() + timedelta(seconds=0.5), up_to=(5,)
    )
    done(api, held, found)

    def told(stream: UUID) -> list[Any]:
        items = api.get(f"/v1/payments/{stream}/timeline").json()["items"]
        return [
            (item["type"].split(".")[2], item["amount"], item["actor"]["caller"]) for item in items
        ]

    until(lambda: len(told(held.id)) == 2)
    until(lambda: len(told(found.id)) == 2)
    assert told(held.id)[1] == ("expired", 30, "tallystick")
    assert told(found.id)[0] == ("scheduled", None, "shop")
    assert told(found.id)[1][2] == "tallystick"
    assert "tally_executions_wait 0.0" in api.get("/metrics", role=None).text


def test_the_metrics_say_that_executions_wait_where_no_worker_ever_ran(
    api_without_workers: Api,
) -> None:
    assert "tally_executions_wait 1.0" in api_without_workers.get("/metrics", role=None).text
