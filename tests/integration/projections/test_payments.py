"""Payments as the contract shows them, at a watermark and at a time."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from datetime import date, datetime, timedelta
from threading import Event
from typing import Any
from uuid import UUID

import pytest

from application.answers import Recorded, answer, payment_resource
from domain.events import PaymentRefused
from infrastructure.kafka.topics import PARTITIONS
from projections.generation import Generation, connect, live_generation
from projections.payments.queries import NEWEST, payment, payments
from projections.reading import View
from projections.rebuild import rebuild
from projections.registry import PROJECTIONS
from tests.fixtures.fix_events import START, History
from tests.fixtures.fix_parted import PartedFeed
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_projections import catch_up, content, store_feed, viewing

STATES = ("settled", "held", "voided", "expired", "scheduled", "canceled", "refused")


def filled(store: Store, history: History, *, batch: int = 7) -> str:
    history.store(store.app_dsn)
    catch_up(store.app_dsn, ["payments"], batch=batch)
    return store.app_dsn


def shown(dsn: str, stream: UUID, now: datetime = START) -> Any:
    return viewing(dsn, "payments", lambda view: payment(view, stream, now=now))


def told(history: History, stream: UUID) -> dict[str, Any]:
    """What the last command on the payment, or that made it, was answered with."""
    record = [
        Recorded(position, event)
        for position, event in enumerate(history.events, 1)
        if event.originator_id == stream
    ]
    last = record[-1].event.command
    events = [
        Recorded(position, event)
        for position, event in enumerate(history.events, 1)
        if event.command == last
    ]
    body = payment_resource(history.payments[stream], events[-1].position)
    if isinstance(record[-1].event, PaymentRefused):
        return body | {"refusal": record[-1].event.refusal}
    answered = answer(events, history.payments[stream], replayed=False).body
    del answered["balances"]
    assert answered == body
    return body


def lives(history: History) -> list[UUID]:
    """A payment of each kind, and of each thing that may become of it."""
    history.open("alice", "bob", "carol").open("poor", overdraft_limit=0)
    soon = history.now + timedelta(minutes=1)
    two = ("alice", "bob", 30), ("bob", "carol", 20)
    terms: dict[str, Any] = {
        "reference": "order-17",
        "metadata": {"z": "1", "a": "2"},
        "value_date": date(2026, 11, 20),
        "carrier": "qr",
    }
    made = {
        "settled": history.pay(*two, **terms),
        "plain": history.pay(("alice", "bob", 1)),
        "refused": history.pay(("poor", "bob", 300)),
        "refunded": history.pay(*two),
        "refunded in part": history.pay(("alice", "bob", 30)),
        "held": history.hold(*two, **terms),
        "captured": history.hold(*two),
        "captured in part": history.hold(("alice", "bob", 30), hold_timeout_s=3600),
        "captured less": history.hold(("alice", "bob", 30)),
        "voided": history.hold(*two),
        "voided rest": history.hold(("alice", "bob", 30)),
        "expired": history.hold(*two, hold_timeout_s=30),
        "expired rest": history.hold(("alice", "bob", 30), hold_timeout_s=30),
        "scheduled": history.pay(("alice", "bob", 5), execute_at=history.now + timedelta(days=9)),
        "executed": history.pay(*two, execute_at=soon, **terms),
        "found": history.pay(("alice", "poor", 0), execute_at=soon, up_to=(40,)),
        "not found": history.pay(("poor", "bob", 0), execute_at=soon, up_to=(40,)),
        "canceled": history.pay(("alice", "bob", 5), execute_at=soon),
    }
    made["refund"] = history.refund(made["refunded"])
    made["refund in part"] = history.refund(made["refunded in part"], 10)
    history.capture(made["captured"])
    history.capture(made["captured in part"], 10, final=False)
    history.capture(made["captured less"], 10)
    history.void(made["voided"])
    history.capture(made["voided rest"], 10, final=False).void(made["voided rest"])
    history.capture(made["expired rest"], 10, final=False)
    history.cancel(made["canceled"])
    history.later(minutes=2)
    for name in ("expired", "expired rest"):
        history.expire(made[name])
    for name in ("executed", "not found"):
        history.execute(made[name])
    history.change("alice", overdraft_limit=0)
    history.pay(("bob", "alice", 200))
    history.execute(made["found"])
    return list(made.values())


def test_a_payment_is_shown_as_it_was_answered_whatever_became_of_it(fresh_store: Store) -> None:
    history = History()
    made = lives(history)
    dsn = filled(fresh_store, history)
    for stream in made:
        assert shown(dsn, stream, history.now) == told(history, stream)
        assert list(shown(dsn, stream, history.now)) == list(told(history, stream))
    assert {history.payments[stream].state for stream in made} == set(STATES)
    assert shown(dsn, history.accounts["bob"].id) is None


def test_the_batches_that_events_come_in_make_no_difference(
    fresh_store: Store, new_store: Callable[[], Store]
) -> None:
    tables = []
    for store, batch in ((fresh_store, 9), (new_store(), 10_000)):
        history = History()
        lives(history)
        tables.append(content(filled(store, history, batch=batch), "payments"))
    assert tables[0] == tables[1]


def test_a_rebuild_makes_the_same_of_every_kind(fresh_store: Store) -> None:
    history = History()
    lives(history)
    dsn = filled(fresh_store, history)
    before = content(dsn, "payments")
    done = rebuild(
        PROJECTIONS["payments"], dsn=dsn, open_feed=lambda: store_feed(dsn), stop=Event()
    )
    assert done.same
    assert content(dsn, "payments") == before


# Deadlines --------------------------------------------------------------------------------


def test_a_hold_past_its_deadline_is_shown_as_what_it_is_without_anybody_recording_it(
    fresh_store: Store,
) -> None:
    history = History().open("alice", "bob")
    whole = history.hold(("alice", "bob", 30), hold_timeout_s=60)
    part = history.hold(("alice", "bob", 30), hold_timeout_s=60)
    history.capture(part, 10, final=False)
    dsn = filled(fresh_store, history)
    deadline = START + timedelta(seconds=60)
    before = deadline - timedelta(microseconds=1)

    def listed(now: datetime, state: str) -> list[str]:
        page = viewing(dsn, "payments", lambda view: payments(view, now=now, state=state, limit=9))
        assert {each["state"] for each in page.items} <= {state}
        return [each["id"] for each in page.items]

    assert shown(dsn, whole, before)["state"] == "held"
    assert listed(before, "held") == [str(part), str(whole)]
    assert listed(before, "expired") == listed(before, "settled") == []
    assert shown(dsn, whole, deadline)["state"] == "expired"
    assert shown(dsn, part, deadline)["state"] == "settled"
    assert listed(deadline, "held") == []
    assert listed(deadline, "expired") == [str(whole)]
    assert listed(deadline, "settled") == [str(part)]

    # Recorded, it is the same but for its position.
    then = {stream: shown(dsn, stream, deadline) for stream in (whole, part)}
    history.later(seconds=60).expire(whole).expire(part)
    filled(fresh_store, history)
    for stream, was in then.items():
        now = shown(dsn, stream, deadline)
        assert now.pop("position") > was.pop("position")
        assert now == was


# Lists ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"account": "bob"},
        {"account": "carol", "state": "settled"},
        {"account": "carol", "state": "expired"},
        {"reference": "order-1"},
        *({"state": state} for state in STATES),
        {"carrier": "qr", "account": "alice"},
        {"created_from": START + timedelta(minutes=7)},
        {"created_to": START + timedelta(minutes=7)},
        {
            "account": "bob",
            "created_from": START + timedelta(minutes=3),
            "created_to": START + timedelta(minutes=40),
            "reference": "order-2",
        },
        {"created_from": START + timedelta(days=9)},
        {"created_to": START - timedelta(days=9)},
    ],
    ids=str,
)
def test_payments_are_listed_newest_first_and_filtered(
    fresh_store: Store, filters: dict[str, Any]
) -> None:
    history, made = anything(60)
    dsn = filled(fresh_store, history)

    async def walk(view: View) -> list[Any]:
        found: list[Any] = []
        before = NEWEST
        while True:
            page = await payments(view, now=history.now, before=before, limit=3, **filters)
            found += page.items
            if page.next is None:
                return found
            (before,) = page.next

    def is_wanted(stream: UUID) -> bool:
        one = history.payments[stream]
        at = one.created_on
        return (
            filters.get("account", "") in {"", *one.accounts}
            and filters.get("state", one.state_at(history.now)) == one.state_at(history.now)
            and filters.get("reference", one.reference) == one.reference
            and filters.get("carrier", one.carrier) == one.carrier
            and filters.get("created_from", at) <= at
            and at < filters.get("created_to", at + timedelta(1))
        )

    found = viewing(dsn, "payments", walk)
    wanted = [stream for stream in reversed(made) if is_wanted(stream)]
    assert [(each["id"], each["state"]) for each in found] == [
        (str(stream), history.payments[stream].state_at(history.now)) for stream in wanted
    ]
    assert wanted or "created_from" in filters or "created_to" in filters


def anything(commands: int, seed: int = 11) -> tuple[History, list[UUID]]:
    """Payments of every kind, of which some wait, and some are past an unrecorded deadline."""
    chance = random.Random(seed)
    history = History().open("alice", "bob", "carol").open("poor", overdraft_limit=0)
    made: list[UUID] = []
    for _ in range(commands):
        history.later(minutes=chance.randint(0, 1))
        waiting = [each for each in made if history.payments[each].waits]
        if waiting and chance.random() < 0.5:
            _step(history, chance.choice(waiting), chance)
            continue
        names = chance.sample(["alice", "bob", "carol", "poor"], 2)
        terms: dict[str, Any] = {
            "reference": chance.choice([None, "order-1", "order-2"]),
            "carrier": chance.choice(["api", "qr"]),
        }
        match chance.randint(0, 4):
            case 0:
                at = history.now + timedelta(minutes=5)
                made.append(history.pay((*names, 20), execute_at=at, **terms))
            case 1 | 2:
                made.append(
                    history.hold((*names, 20), hold_timeout_s=chance.choice([60, 3600]), **terms)
                )
            case _:
                made.append(history.pay((*names, 20), **terms))
    return history, made


def _step(history: History, stream: UUID, chance: random.Random) -> None:
    one = history.payments[stream]
    if one.state == "scheduled":
        if one.is_due(history.now):
            history.execute(stream)
        elif chance.random() < 0.3:
            history.cancel(stream)
    elif one.is_due(history.now):
        if chance.random() < 0.3:
            history.expire(stream)
    elif chance.random() < 0.5:
        history.capture(stream, 1, final=False)
    else:
        history.void(stream)


# Partitions apart -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_what_is_read_apart_is_what_was_at_the_watermark(
    fresh_store: Store, new_store: Callable[[], Store], seed: int
) -> None:
    """Partitions are moved on one by one, at random; a second read model stands still at each
    watermark on the way."""
    history, made = anything(100, seed)
    for stream in made[::3]:
        if any(history.payments[stream].refundable):
            history.refund(stream, 1)
    feed, dsn, other = PartedFeed(history), fresh_store.app_dsn, new_store()
    history.store(other.app_dsn)
    chance = random.Random(seed)
    now = history.now

    async def everything(view: View) -> list[Any]:
        filters = [{}, {"account": "alice"}, *({"state": state} for state in STATES)]
        return [
            *[await payments(view, now=now, limit=500, **each) for each in filters],
            *[await payment(view, stream, now=now) for stream in made],
        ]

    with (
        closing(connect(dsn, "apart")) as connection,
        closing(connect(other.app_dsn, "still")) as still,
        closing(store_feed(other.app_dsn)) as straight,
    ):
        whole = live_generation(connection, PROJECTIONS["payments"], feed)
        parts = [whole.of([partition]) for partition in range(PARTITIONS)]
        at_zero = live_generation(still, PROJECTIONS["payments"], straight)
        # It keeps what was before too: a watermark may lie within a command.
        reference = Generation(still, at_zero.projection, 1, at_zero.marks, read_of=2)
        ahead = straight.read(reference.marks, 10_000)
        looks = 0
        while (watermark := min(part.watermark for part in parts)) < history.end:
            behind = min(parts, key=lambda part: part.watermark)
            part = chance.choice([behind, *parts])
            part.apply(
                feed.read(part.marks, chance.randint(1, 3)),
                feed.progress if chance.random() < 0.3 else None,
            )
            reached = min(part.watermark for part in parts)
            if reached == watermark:
                continue
            reference.apply([record for record in ahead if watermark < record.position <= reached])
            still_there = viewing(other.app_dsn, "payments", everything)
            assert viewing(dsn, "payments", everything) == still_there, f"at {reached}"
            looks += 1
        assert looks > 20
        for part in parts:
            part.apply([], feed.progress)
        history.pay(("alice", "bob", 1))
        part = next(each for each in parts if feed.read(each.marks, 9))
        part.apply(feed.read(part.marks, 9))
        left = connection.execute("SELECT count(*) FROM tally_read.payments_before_g1").fetchone()
        assert left == (0,), "what was before is kept although nobody reads it any more"
