"""How many events a command has at most: who reads whole commands reads as far."""

from __future__ import annotations

from uuid import uuid4

from api.models import MAX_POSTINGS
from application.answers import LONGEST_COMMAND, record_length
from domain.events import PaymentCaptured
from domain.payment import account_events
from tests.unit.domain.given import ACTOR, COMMAND, NOW, account, order, when

ONE_EACH = (1,) * MAX_POSTINGS


def test_a_payment_of_all_postings_that_there_may_be_is_no_longer_command() -> None:
    postings = [("alice", "bob", 1)] * MAX_POSTINGS
    links = {name: uuid4() for name in ("refund_of", "payment_request", "paid_by")}
    made = when([account("alice", MAX_POSTINGS), account("bob")], order(*postings, **links))
    assert len(made) + len(links) == record_length(made[0]) <= LONGEST_COMMAND


def test_a_capture_that_books_and_releases_of_each_posting_is_no_longer_command() -> None:
    captured = PaymentCaptured(
        originator_id=COMMAND,
        originator_version=2,
        timestamp=NOW,
        command=COMMAND,
        actor=ACTOR,
        amounts=ONE_EACH,
        released=ONE_EACH,
        final=True,
    )
    its_record = 1
    assert 1 + account_events(captured) + its_record <= LONGEST_COMMAND
