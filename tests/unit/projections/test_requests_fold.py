"""What the payments projection's fold makes of payment requests."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from projections.payments.fold import fold, needed
from projections.payments.requests import (
    FoldedRequests,
    Opened,
    RequestState,
    fold_requests,
    of_requests,
    requests_before,
    requests_needed,
)
from tests.fixtures.fix_events import START, History

DEADLINE = START + timedelta(seconds=900)


def town() -> History:
    return History().open("shop", "alice")


def folded(history: History, after: int = 0, until: int | None = None) -> FoldedRequests:
    records = of_requests(history.records()[after:until])
    return fold_requests(records, {})


def state_of(history: History, request: UUID) -> RequestState:
    """What the whole history makes of it: at once, and as two batches."""
    at_once = folded(history).states[request]
    for cut in range(history.end):
        known = folded(history, until=cut).states
        records = of_requests(history.records(after=cut))
        then = fold_requests(records, known).states
        assert then.get(request, known.get(request)) == at_once, f"cut at {cut}"
        assert then.keys() <= requests_needed(records) | {
            each.id for each in folded(history).opened
        }
    return at_once


def test_an_opened_one_is_there_from_its_commands_record_on() -> None:
    history = town()
    request = history.request("shop", 40, reference="r", description="tea", metadata={"k": "v"})
    made = folded(history)
    assert made.opened == [Opened(5, request, "shop", "EUR", "r", START, {"k": "v"}, "a1b2c3d4")]
    assert made.states == {request: RequestState(6, "open", 1, 40, "tea", 900, DEADLINE, None)}
    assert requests_needed(of_requests(history.records())) == set()


def test_a_change_is_another_revision() -> None:
    history = town()
    request = history.request("shop", 40)
    history.change_request(request, amount_minor=None, description="tea", expires_in_s=30)
    at = START + timedelta(seconds=30)
    assert state_of(history, request) == RequestState(8, "open", 2, None, "tea", 30, at, None)


def test_a_paid_one_has_its_payment_and_the_position_it_was_answered_with() -> None:
    history = town()
    request = history.request("shop", 40)
    payment = history.pay_request(request, "alice")
    state = state_of(history, request)
    assert (state.position, state.state, state.payment) == (history.end, "paid", payment)
    made = fold(history.records(), {})
    assert made.states[payment].position == history.end
    assert made.made[-1].payment_request == request
    assert needed(history.records()) == set()


def test_a_canceled_one_is_so_from_its_commands_record_on() -> None:
    history = town()
    request = history.request("shop", 40)
    history.cancel_request(request)
    state = state_of(history, request)
    assert (state.position, state.state) == (history.end, "canceled")


def test_an_expired_one_is_so_from_its_event_on() -> None:
    history = town()
    request = history.request("shop", 40)
    history.later(seconds=900).expire_request(request)
    state = state_of(history, request)
    assert (state.position, state.state) == (history.end, "expired")


def test_what_it_was_before_each_event_is_told_with_the_position_until_which() -> None:
    history = town()
    request = history.request("shop", 40)
    history.change_request(request, amount_minor=50)
    history.pay_request(request, "alice")
    records = of_requests(history.records())
    told = [(each, until, was.revision) for each, until, was in requests_before(records, {})]
    assert told == [(request, 8, 1), (request, history.end, 2)]
    known = folded(history, until=6).states
    rest = of_requests(history.records(after=6))
    assert [until for _, until, _ in requests_before(rest, known)] == [8, history.end]


def test_one_that_was_never_opened_stops_the_projection() -> None:
    history = town()
    request = history.request("shop", 40)
    history.cancel_request(request)
    with pytest.raises(LookupError):
        fold_requests(of_requests(history.records(after=6)), {})


def test_of_other_events_nothing_is_folded() -> None:
    history = town()
    history.pay(("alice", "shop", 1))
    with pytest.raises(TypeError, match="unknown to payment requests"):
        fold_requests(
            history.records(after=4),
            dict.fromkeys(
                [event.originator_id for event in history.events],
                RequestState(1, "open", 1, 1, None, 30, DEADLINE, None),
            ),
        )
    assert of_requests(history.records()) == []
