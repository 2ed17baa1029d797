"""Payment requests, rule by rule: given what happened, when a command comes, then this."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.events import AccountCredited, AccountDebited, PaymentRefused, PaymentSettled
from domain.payment_request import PaymentRequest
from domain.refusals import NothingDue, Refused
from domain.request_events import (
    PaymentRequestCanceled,
    PaymentRequestChanged,
    PaymentRequestExpired,
    PaymentRequestOpened,
    PaymentRequestPaid,
)
from tests.fixtures.fix_events import ACTOR, START, History

COMMAND = UUID(int=1)
MICROSECOND = timedelta(microseconds=1)
DEADLINE = START + timedelta(seconds=900)


@pytest.fixture
def town() -> History:
    return History().open("shop").open("alice", overdraft_limit=100)


def asked(town: History, amount: int | None = 40, **terms: Any) -> PaymentRequest:
    return town.requests[town.request("shop", amount, **terms)]


def order(request: PaymentRequest, amount: int | None = None, **named: Any) -> Any:
    given = {"revision": request.revision, "carrier": "qr", "now": START, **named}
    return request.order("alice", amount_minor=amount, **given)


def by(**named: Any) -> dict[str, Any]:
    return {"command": COMMAND, "actor": ACTOR, "now": START, **named}


def test_it_is_opened_until_its_deadline_and_the_event_says_until_when(town: History) -> None:
    request = asked(town, reference="r", description="tea", metadata={"k": "v"}, expires_in_s=60)
    (event,) = (each for each in town.events if isinstance(each, PaymentRequestOpened))
    assert event.expires_at == request.expires_at == START + timedelta(seconds=60)
    assert (request.state, request.revision, request.payment) == ("open", 1, None)
    assert (request.amount_minor, request.currency, request.description) == (40, "EUR", "tea")
    assert request.concerned == {"shop"}
    assert request.waits


def test_it_is_paid_by_an_ordinary_payment_of_the_same_command(town: History) -> None:
    request = asked(town, reference="r", metadata={"k": "v"})
    before = len(town.events)
    payment = town.payments[town.pay_request(request.id, "alice", carrier="nfc")]
    events = town.events[before:]
    assert [type(event) for event in events] == [
        PaymentSettled,
        AccountDebited,
        AccountCredited,
        PaymentRequestPaid,
    ]
    assert {event.command for event in events} == {payment.id}
    assert payment.payment_request == request.id
    assert (payment.reference, payment.metadata, payment.carrier) == ("r", {"k": "v"}, "nfc")
    paid = events[-1]
    assert isinstance(paid, PaymentRequestPaid)
    assert (paid.payment, paid.revision, paid.amount_minor) == (payment.id, 1, 40)
    assert (request.state, request.payment, request.waits) == ("paid", payment.id, False)


def test_a_refused_payment_leaves_it_open(town: History) -> None:
    request = asked(town, 101)
    payment = town.payments[town.pay_request(request.id, "alice")]
    assert isinstance(town.events[-1], PaymentRefused)
    assert (payment.state, payment.payment_request) == ("refused", request.id)
    assert (request.state, request.payment) == ("open", None)
    town.change_request(request.id, amount_minor=100)
    town.pay_request(request.id, "alice")
    assert request.state == "paid"


def test_the_payer_chooses_where_the_request_has_no_amount(town: History) -> None:
    request = asked(town, None)
    assert order(request, 7).postings[0].amount_minor == 7


def test_the_same_amount_may_be_sent(town: History) -> None:
    assert order(asked(town, 40), 40).postings[0].amount_minor == 40


def canceled(town: History, request: PaymentRequest) -> None:
    town.cancel_request(request.id)


def paid(town: History, request: PaymentRequest) -> None:
    town.pay_request(request.id, "alice", 1 if request.amount_minor is None else None)


def expired(town: History, request: PaymentRequest) -> None:
    town.later(seconds=900)


def changed(town: History, request: PaymentRequest) -> None:
    town.change_request(request.id, description="other")


def nothing(town: History, request: PaymentRequest) -> None:
    pass


REQUESTS: list[tuple[str, Callable[[History, PaymentRequest], None], int | None, int | None]] = [
    ("request_canceled", canceled, None, None),
    ("request_paid", paid, None, None),
    ("request_expired", expired, None, None),
    ("revision_changed", changed, None, None),
    ("amount_required", nothing, None, None),
    ("amount_fixed", nothing, 40, 41),
]
"""Code, what happened, the request's amount and the one sent; in their order: in each row all
that stands below it is so as well, where both can be."""


@pytest.mark.parametrize(("code", "happens", "amount", "sent"), REQUESTS)
def test_a_request_refuses_in_the_documented_order(
    town: History,
    code: str,
    happens: Callable[[History, PaymentRequest], None],
    amount: int | None,
    sent: int | None,
) -> None:
    request = asked(town, amount)
    revision = 2 if happens in (canceled, paid, expired) else 1  # it never had a second one
    happens(town, request)
    if happens in (canceled, paid):
        town.later(days=1)  # past its deadline, too
    with pytest.raises(Refused) as refused:
        order(request, sent, revision=revision, now=town.now)
    assert refused.value.code == code
    assert refused.value.members == ({"revision": 2} if code == "revision_changed" else {})


def test_a_payment_is_made_until_a_microsecond_before_the_deadline(town: History) -> None:
    request = asked(town)
    assert order(request, now=DEADLINE - MICROSECOND)
    for now in (DEADLINE, DEADLINE + MICROSECOND):
        with pytest.raises(Refused) as refused:
            order(request, now=now)
        assert refused.value.code == "request_expired"
    assert request.state_at(DEADLINE - MICROSECOND) == "open"
    assert request.state_at(DEADLINE) == "expired"


def test_a_change_is_another_revision_with_all_that_it_has_then(town: History) -> None:
    request = asked(town, description="tea")
    town.later(seconds=10).change_request(request.id, amount_minor=None)
    assert (request.revision, request.amount_minor, request.description) == (2, None, "tea")
    assert (request.expires_in_s, request.expires_at) == (900, DEADLINE)
    town.change_request(request.id, description="cake", expires_in_s=30)
    assert (request.revision, request.amount_minor, request.description) == (3, None, "cake")
    assert (request.expires_in_s, request.expires_at) == (30, town.now + timedelta(seconds=30))
    told = [each.revision for each in town.events if isinstance(each, PaymentRequestChanged)]
    assert told == [2, 3]


def test_an_empty_change_is_none(town: History) -> None:
    request = asked(town)
    request.change({}, **by())
    assert (request.revision, request.collect()) == (1, [])


def test_a_second_cancel_changes_nothing(town: History) -> None:
    request = asked(town)
    town.cancel_request(request.id).later(days=1).cancel_request(request.id)
    assert sum(isinstance(each, PaymentRequestCanceled) for each in town.events) == 1


@pytest.mark.parametrize(
    ("happens", "code"), [(canceled, "request_canceled"), (paid, "request_paid")]
)
def test_what_is_over_is_not_changed(town: History, happens: Any, code: str) -> None:
    request = asked(town)
    happens(town, request)
    with pytest.raises(Refused) as refused:
        request.change({}, **by())
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("happens", "code"), [(paid, "request_paid"), (expired, "request_expired")]
)
def test_what_is_paid_or_expired_is_not_canceled(town: History, happens: Any, code: str) -> None:
    request = asked(town)
    happens(town, request)
    with pytest.raises(Refused) as refused:
        request.cancel(**by(now=town.now))
    assert refused.value.code == code


def test_its_end_is_recorded_once_and_never_early(town: History) -> None:
    request = asked(town)
    with pytest.raises(NothingDue):
        request.expire(**by(now=DEADLINE - MICROSECOND))
    town.later(seconds=900).expire_request(request.id)
    assert (request.state, request.waits) == ("expired", False)
    assert isinstance(town.events[-1], PaymentRequestExpired)
    with pytest.raises(NothingDue):
        request.expire(**by(now=town.now))


def test_a_copy_shares_nothing_that_changes(town: History) -> None:
    request = asked(town)
    copy = request.copied()
    town.cancel_request(request.id)
    assert (copy.state, copy.version) == ("open", 1)
