"""What is due is asked for once, within bounds, until it is done."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from threading import Event
from uuid import UUID

import pytest

from application import due as asking
from application.answers import Answer
from application.commands import Command, ExecutePayment, ExpirePayment, PaymentCommand
from application.due import LIMIT, OUTSTANDING, Due, Sweeper
from application.ports import StorageFull, StoreUnavailable
from application.writer import Overloaded
from domain.ids import due_command
from domain.refusals import NothingDue

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)


def expired(number: int) -> Due:
    return Due(UUID(int=number), "expire")


class Payments:
    """A read model that shows what it is told to."""

    def __init__(self, *found: Due) -> None:
        self.found: Sequence[Due] = found
        self.closed = False
        self.away: Exception | None = None
        self.looked = Event()

    def due(self, now: datetime, limit: int) -> Sequence[Due]:
        self.looked.set()
        if self.away:
            raise self.away
        assert now == NOW
        return self.found[:limit]

    def close(self) -> None:
        self.closed = True


class Writer:
    """Answers as it is told to, at once."""

    def __init__(self, outcome: Callable[[PaymentCommand], Exception | None] = lambda _: None):
        self.asked: list[PaymentCommand] = []
        self.outcome = outcome

    def submit(self, command: Command) -> Future[Answer]:
        assert isinstance(command, PaymentCommand)
        answer: Future[Answer] = Future()
        error = self.outcome(command)
        if isinstance(error, Overloaded):
            raise error
        self.asked.append(command)
        if error:
            answer.set_exception(error)
        else:
            answer.set_result(Answer({}, None, 1, replayed=False))
        return answer


def sweeper(payments: Payments, writer: Writer) -> Sweeper:
    return Sweeper(payments, writer.submit, clock=lambda: NOW)


def test_what_is_due_is_asked_for_by_the_ledger_itself() -> None:
    writer, one, two = Writer(), UUID(int=1), UUID(int=2)
    assert sweeper(Payments(Due(one, "expire"), Due(two, "execute")), writer).look() == 2
    assert [type(each) for each in writer.asked] == [ExpirePayment, ExecutePayment]
    assert [each.payment for each in writer.asked] == [one, two]
    assert [each.id for each in writer.asked] == [
        due_command(one, "expire"),
        due_command(two, "execute"),
    ]
    assert {each.actor.caller for each in writer.asked} == {"tallystick"}


@pytest.mark.parametrize("outcome", [None, NothingDue()])
def test_a_read_model_that_is_behind_does_not_make_it_ask_twice(
    monkeypatch: pytest.MonkeyPatch, outcome: Exception | None
) -> None:
    payments, writer = Payments(expired(1)), Writer(lambda _: outcome)
    sweeps = sweeper(payments, writer)
    assert [sweeps.look() for _ in range(3)] == [1, 0, 0]
    payments.found = [expired(1), expired(2)]
    assert sweeps.look() == 1
    # Out of sight and there again (a clock was put back), or there for long: it may ask anew.
    payments.found = []
    sweeps.look()
    payments.found = [expired(1)]
    assert [sweeps.look(), sweeps.look()] == [1, 0]
    monkeypatch.setattr(asking, "AGAIN_S", 0.0)
    assert sweeps.look() == 1


def test_no_more_than_a_few_wait_for_the_writer_at_a_time() -> None:
    unanswered: list[Future[Answer]] = []
    most = 0

    def submit(command: Command) -> Future[Answer]:
        nonlocal most
        answer: Future[Answer] = Future()
        unanswered.append(answer)
        most = max(most, len(unanswered))
        if len(unanswered) == OUTSTANDING:
            for each in unanswered:
                each.set_result(Answer({}, None, 1, replayed=False))
            unanswered.clear()
        return answer

    payments = Payments(*map(expired, range(3 * OUTSTANDING)))
    assert Sweeper(payments, submit, clock=lambda: NOW).look() == 3 * OUTSTANDING
    assert most == OUTSTANDING


def test_where_the_writer_has_no_room_the_rest_waits_for_the_next_look() -> None:
    writer = Writer(lambda _: Overloaded() if len(writer.asked) == 3 else None)
    sweeps = sweeper(Payments(*map(expired, range(5))), writer)
    sweeps.look()
    assert len(writer.asked) == 3
    writer.outcome = lambda _: None
    assert sweeps.look() == 2
    assert [each.payment.int for each in writer.asked] == [0, 1, 2, 3, 4]


def test_a_defect_costs_its_payment_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bad = expired(1)
    writer = Writer(lambda each: ValueError("bug") if each.payment == bad.subject else None)
    sweeps = sweeper(Payments(expired(0), bad, expired(2)), writer)
    assert sweeps.look() == 3
    assert f"{bad.subject}: its step expire failed" in caplog.text
    assert len(writer.asked) == 3
    assert sweeps.look() == 0
    monkeypatch.setattr(asking, "AGAIN_S", 0.0)
    assert sweeps.look() == 3


@pytest.mark.parametrize("error", [StoreUnavailable(), StorageFull()])
def test_what_became_of_nothing_is_asked_for_again(error: Exception) -> None:
    writer = Writer(lambda _: error)
    sweeps = sweeper(Payments(expired(1)), writer)
    with pytest.raises(type(error)):
        sweeps.look()
    writer.outcome = lambda _: None
    assert sweeps.look() == 1


@pytest.mark.parametrize("error", [StoreUnavailable(), ValueError("bug")], ids=repr)
def test_it_goes_on_whatever_goes_wrong_until_it_is_stopped(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    for name in ("LOOK_S", "BACK_OFF_S"):
        monkeypatch.setattr(asking, name, 0.01)
    payments, writer = Payments(expired(1)), Writer()
    payments.away = error
    sweeps = sweeper(payments, writer)
    with caplog.at_level(logging.WARNING):
        sweeps.start()
        for _ in range(3):
            payments.looked.clear()
            assert payments.looked.wait(5)
        payments.away = None
        for _ in range(2):
            payments.looked.clear()
            assert payments.looked.wait(5)
        sweeps.stop()
    assert "what is due waits" in caplog.text
    assert len(writer.asked) == 1
    assert payments.closed
    payments.looked.clear()
    assert not payments.looked.wait(0.05)


def test_a_full_page_is_followed_by_the_next_at_once() -> None:
    payments, writer = Payments(*map(expired, range(LIMIT + 5))), Writer()

    def done(command: PaymentCommand) -> None:
        payments.found = [each for each in payments.found if each.subject != command.payment]

    writer.outcome = done
    sweeps = sweeper(payments, writer)
    assert [sweeps.look(), sweeps.look(), sweeps.look()] == [LIMIT, 5, 0]
