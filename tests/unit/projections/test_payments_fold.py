from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.events import LedgerEvent, PaymentDecided, Posting
from projections.feed import Record
from projections.payments.before import states_before
from projections.payments.fold import Folded, Made, State, fold, needed
from tests.fixtures.fix_events import START, History

TODAY = date(2026, 11, 23)


def two_by_two(history: History) -> History:
    """Accounts that anything may be paid between."""
    return history.open("alice", "bob", "carol")


def state_of(history: History, payment: UUID, *, since: int = 0) -> State:
    """What the whole history makes of a payment: at once, and as two batches."""
    at_once = fold(history.records(), {}).states[payment]
    for cut in range(since, history.end):
        known = fold(history.records()[:cut], {}).states
        then = fold(history.records(after=cut), known)
        assert then.states.get(payment, known.get(payment)) == at_once, f"cut at {cut}"
        asked = needed(history.records(after=cut))
        assert {made.id for made in then.made}.isdisjoint(known)
        assert then.states.keys() <= asked | {made.id for made in then.made}
    return at_once


def test_a_settled_payment_is_there_from_its_last_entry_on() -> None:
    history = two_by_two(History())
    payment = history.pay(
        ("alice", "bob", 30), ("bob", "carol", 10), reference="order-17", metadata={"table": "4"}
    )
    folded = fold(history.records(), {})
    assert folded.made == [
        Made(7, payment, "settle", "api", "order-17", START, {"table": "4"}, *[None] * 4)
    ]
    postings = (Posting("alice", "bob", 30, "EUR"), Posting("bob", "carol", 10, "EUR"))
    assert folded.states == {
        payment: State(11, "settled", TODAY, postings, (30, 10), (0, 0), None, False)
    }
    assert folded.states[payment].accounts == {"alice", "bob", "carol"}
    assert needed(history.records()) == set()


def test_a_refused_payment_is_one_event_with_its_refusal() -> None:
    history = History().open("alice", "bob", overdraft_limit=0)
    payment = history.pay(("alice", "bob", 30), value_date=date(2026, 12, 24))
    folded = fold(history.records(), {})
    assert folded.made[0].created_position == 5
    state = folded.states[payment]
    assert (state.position, state.state, state.captured) == (5, "refused", (0,))
    assert state.refusal == {"code": "insufficient_funds", "account": "alice", "index": 0}
    assert state.value_date == date(2026, 12, 24)


def test_a_hold_waits_for_its_deadline() -> None:
    history = two_by_two(History())
    payment = history.hold(("alice", "bob", 30), hold_timeout_s=60)
    folded = fold(history.records(), {})
    assert folded.made[0].expires_at == START + timedelta(seconds=60)
    assert folded.made[0].mode == "hold"
    state = folded.states[payment]
    assert state == State(history.end, "held", TODAY, state.postings, (0,), (0,))


@pytest.mark.parametrize(
    ("steps", "state", "captured"),
    [
        ([("capture", None, True)], "settled", 30),
        ([("capture", 10, True)], "settled", 10),
        ([("capture", 10, False)], "held", 10),
        ([("capture", 10, False), ("capture", 20, False)], "settled", 30),
        ([("capture", 10, False), ("capture", 5, True)], "settled", 15),
        ([("void",)], "voided", 0),
        ([("capture", 10, False), ("void",)], "settled", 10),
        ([("expire",)], "expired", 0),
        ([("capture", 10, False), ("expire",)], "settled", 10),
    ],
    ids=str,
)
def test_what_becomes_of_a_hold(steps: list[Any], state: str, captured: int) -> None:
    history = two_by_two(History())
    payment = history.hold(("alice", "bob", 30))
    since = history.end
    for step, *amount in steps:
        if step == "capture":
            history.capture(payment, amount[0], final=amount[1])
        elif step == "void":
            history.void(payment)
        else:
            history.later(days=7).expire(payment)
    found = state_of(history, payment, since=since)
    assert (found.state, found.captured) == (state, [captured] if captured else (0,))
    assert found.position == history.end
    assert found.expired == (("expire",) in steps)
    assert found.value_date == TODAY


def test_only_postings_with_an_amount_have_events_of_accounts() -> None:
    history = two_by_two(History())
    payment = history.hold(("alice", "bob", 30), ("bob", "carol", 10))
    history.capture(payment)
    assert state_of(history, payment).position == history.end
    assert state_of(history, payment).captured == [30, 10]


def test_a_refund_is_a_payment_and_stands_on_the_one_it_undoes() -> None:
    history = two_by_two(History())
    payment = history.pay(("alice", "bob", 30))
    since = history.end
    first, second = history.refund(payment, 10), history.refund(payment)
    state = state_of(history, payment, since=since)
    assert (state.state, state.captured, state.refunded) == ("settled", (30,), [30])
    assert state.position == history.end
    folded = fold(history.records(), {})
    assert [made.refund_of for made in folded.made] == [None, payment, payment]
    assert folded.states[first].position == since + 4
    assert folded.states[second].position == history.end
    assert folded.states[second].captured == (20,)


def test_a_refused_refund_tells_what_it_was_of() -> None:
    history = History().open("alice").open("bob", overdraft_limit=0).open("carol")
    payment = history.pay(("alice", "bob", 30))
    history.pay(("bob", "carol", 30))
    refund = history.refund(payment)
    folded = fold(history.records(), {})
    assert folded.made[-1].refund_of == payment
    assert folded.states[refund].state == "refused"
    assert folded.states[payment].refunded == (0,)


def test_a_scheduled_payment_has_the_day_of_its_time_until_it_is_executed() -> None:
    history = History().open("cash").open("alice", "bob", overdraft_limit=0)
    history.pay(("cash", "alice", 70))
    payment = history.pay(("alice", "bob", 0), execute_at=START + timedelta(days=2), up_to=(100,))
    since = history.end
    state = state_of(history, payment)
    assert (state.position, state.state) == (history.end, "scheduled")
    assert state.value_date == date(2026, 11, 25)
    assert state.postings[0].amount_minor == 0
    (made,) = fold(history.records(after=since - 1), {}).made
    assert made.execute_at == START + timedelta(days=2)
    history.later(days=3).execute(payment)
    state = state_of(history, payment, since=since)
    assert (state.position, state.state) == (history.end, "settled")
    assert state.value_date == date(2026, 11, 26)
    assert (state.postings[0].amount_minor, state.captured) == (70, (70,))


def test_a_scheduled_payment_that_is_refused_or_canceled() -> None:
    history = History().open("alice", "bob", overdraft_limit=0)
    at = START + timedelta(days=2)
    refused = history.pay(("alice", "bob", 5), execute_at=at, value_date=TODAY)
    canceled = history.pay(("alice", "bob", 5), execute_at=at)
    since = history.end
    history.cancel(canceled)
    state = state_of(history, canceled, since=since)
    assert (state.position, state.state) == (history.end, "canceled")
    history.later(days=2).execute(refused)
    state = state_of(history, refused, since=since)
    assert (state.position, state.state, state.value_date) == (history.end, "refused", TODAY)
    assert state.refusal == {"code": "insufficient_funds", "account": "alice", "index": 0}


def test_events_of_accounts_make_no_payment() -> None:
    history = History().open("alice").change("alice", max_balance=1)
    history.freeze("alice").unfreeze("alice").close("alice")
    assert fold(history.records(), {}) == Folded()


def test_what_becomes_of_a_payment_that_was_never_made_is_a_lookup_error() -> None:
    history = two_by_two(History())
    held = history.hold(("alice", "bob", 30))
    scheduled = history.pay(("alice", "bob", 30), execute_at=START + timedelta(days=1))
    at = history.end
    history.void(held).later(days=1).execute(scheduled)
    of_both = history.records(after=at)
    for records in (of_both[:1], [each for each in of_both if _is_of(each.event, scheduled)]):
        with pytest.raises(LookupError):
            fold(records, {})


def test_what_a_payment_was_is_told_event_by_event() -> None:
    history = two_by_two(History())
    known = history.hold(("alice", "bob", 30))
    at = history.end
    states = fold(history.records(), {}).states
    history.capture(known, 10, final=False).capture(known, 5, final=False)
    in_batch = history.pay(("alice", "bob", 9))
    history.refund(in_batch, 4)
    told = list(states_before(history.records(after=at), states))
    assert [(payment, state.position) for payment, _, state in told] == [
        (known, at),
        (known, at + 4),
        (in_batch, at + 11),
    ]
    assert [until for _, until, _ in told] == [at + 4, at + 8, history.end]
    assert [state.captured for _, _, state in told] == [(0,), [10], (9,)]


def test_an_event_that_it_does_not_know_is_never_passed_over(unknown: Record) -> None:
    with pytest.raises(TypeError, match="unknown to payments"):
        fold([unknown], {})


def _is_of(event: LedgerEvent, payment: UUID) -> bool:
    return isinstance(event, PaymentDecided) and event.originator_id == payment
