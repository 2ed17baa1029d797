"""Batches decided without a look at the store: what they presume is proved, or they are decided
anew (docs/adr/0018)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from eventsourcing.persistence import IntegrityError

from application.answers import Answer
from application.attempts import WINDOW, Attempt, AttemptLimits
from application.commands import (
    BringDeviceOnline,
    CancelPaymentRequest,
    CapturePayment,
    ChangePaymentRequest,
    CloseAccount,
    Command,
    FreezeAccount,
    IssuePayCode,
    OpenPaymentRequest,
    PayPaymentRequest,
    PayTogether,
    RegisterDevice,
    RevokeDevice,
    ShownCode,
    UnfreezeAccount,
)
from application.ledger import Ledger
from domain.ids import request_stream
from domain.refusals import IdempotencyKeyReused, TooManyAttempts
from tests.fixtures.fix_ledger import a_writer, command, commit, opened, payment
from tests.fixtures.fix_steps import (
    Clock,
    answer,
    balances,
    end,
    every_command,
    hold,
    step,
)


@contextmanager
def looks(ledger: Ledger) -> Iterator[list[Any]]:
    """What the store is asked for meanwhile."""
    asked: list[Any] = []
    fetch = ledger.store.fetch

    def counted(*wanted: Any) -> Any:
        asked.append(wanted)
        return fetch(*wanted)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger.store, "fetch", counted)
        yield asked


def presuming(ledger: Ledger) -> Ledger:
    """The ledger, brought to where it goes without a look."""
    for _ in range(3):
        with looks(ledger) as asked:
            commit(ledger, payment(uuid4().hex, ("cash", "bob", 1)))
        if not asked:
            return ledger
    raise AssertionError("it goes on looking")


def test_payments_on_cached_accounts_need_no_look(ledger: Ledger) -> None:
    presuming(ledger)
    with looks(ledger) as asked:
        for number in range(5):
            told = answer(ledger, payment(f"p{number}", ("alice", "bob", 1)))
            assert (told.refusal, told.replayed) == (None, False)
        refused = answer(ledger, payment("too much", ("alice", "bob", 1_000)))
        assert refused.refusal is not None
        commit(ledger, hold("h", 10))
        assert balances(answer(ledger, step(CapturePayment, "c", "h")), "alice") == (85, 0, 0, 85)
    assert not asked


@pytest.mark.parametrize(
    "lacking",
    [
        payment("p", ("carol", "bob", 1)),
        step(CapturePayment, "c", "no such payment"),
        replace(payment("p", ("alice", "bob", 1)), dry_run=True),
        replace(payment("p", ("", "bob", 1)), shown=ShownCode(pay_codes=(uuid4(),))),
        command(PayTogether, "t", payments=[payment("p", ("alice", "bob", 1))], dry_run=True),
    ],
    ids=["an account", "a payment", "a dry run", "a code", "a dry run of many"],
)
def test_what_the_append_cannot_prove_is_looked_up(ledger: Ledger, lacking: Any) -> None:
    presuming(ledger)
    with looks(ledger) as asked:
        commit(ledger, payment("before", ("alice", "bob", 1)), lacking)
    assert asked


def test_a_key_that_is_known_is_found_and_the_rest_of_its_batch_is_recorded_once(
    ledger: Ledger,
) -> None:
    first = answer(ledger, payment("known", ("alice", "bob", 10)))
    since = end(presuming(ledger))
    with a_writer(ledger) as writer:
        again = writer.submit(payment("known", ("alice", "bob", 10)))
        new = writer.submit(payment("new", ("alice", "bob", 5)))
        other = writer.submit(payment("known", ("alice", "bob", 11)))
        assert again.result(timeout=10) == first._replace(replayed=True)
        told = new.result(timeout=10)
        assert (told.refusal, told.replayed) == (None, False)
        assert isinstance(other.exception(timeout=10), IdempotencyKeyReused)
    assert end(ledger) == since + 3


def more_commands() -> Sequence[Command]:
    """Those that are about other things than payments."""
    asked = command(
        OpenPaymentRequest,
        "request",
        credit_account="bob",
        amount_minor=3,
        currency="EUR",
        metadata={},
        expires_in_s=60,
        token_key="k",
    )
    request = {"payment_request": request_stream(asked.id)}
    device = command(
        RegisterDevice,
        "device",
        account="cash",
        currency="EUR",
        handle="1234567",
        per_payment_max_minor=5,
        offline_total_max_minor=5,
    )
    code = {"currency": "EUR", "max_amount_minor": 5, "confirm_above_minor": None}
    return (
        opened("again", "alice"),
        opened("erin", "erin"),
        command(FreezeAccount, "freeze", account="erin", reason="why"),
        command(UnfreezeAccount, "unfreeze", account="erin", reason="why"),
        command(CloseAccount, "close", account="erin", reason="why"),
        asked,
        command(ChangePaymentRequest, "change", **request, changes={"amount_minor": 2}),
        command(
            PayPaymentRequest, "pay", **request, debit_account="cash", revision=2, carrier="qr"
        ),
        command(CancelPaymentRequest, "cancel", **request),
        command(IssuePayCode, "code", account="cash", pay_code=uuid4(), expires_in_s=60, **code),
        device,
        command(BringDeviceOnline, "online", device=device.id),
        command(RevokeDevice, "revoke", device=device.id),
    )


def test_the_store_itself_refuses_a_key_that_was_presumed_to_be_new(ledger: Ledger) -> None:
    """By the constraint that docs/operations.md names: it is what the log shows."""
    commit(ledger, payment("known", ("alice", "bob", 10)))
    since = end(presuming(ledger))
    batch = ledger.decide(
        [payment("new", ("alice", "bob", 5)), payment("known", ("bob", "bob", 1))]
    )
    assert batch.presumed
    with pytest.raises(IntegrityError, match="events_stream_version_key"):
        ledger.commit(batch)
    assert end(ledger) == since


def test_every_command_sent_again_is_answered_as_at_first(ledger: Ledger, clock: Clock) -> None:
    sent = (*every_command(clock), *more_commands())
    first = [commit(ledger, each)[0] for each in sent]
    assert sum(isinstance(told, Answer) for told in first) > len(sent) - 3
    clock.later(days=400)  # what was scheduled then, nobody could schedule now
    for each, told in zip(sent, first, strict=True):
        since = end(presuming(ledger))
        (again,) = commit(ledger, each)
        assert end(ledger) == since
        if isinstance(told, Answer):
            assert again == told._replace(replayed=True)
        else:
            assert (type(again), str(again)) == (type(told), str(told))


def test_attempts_that_left_no_event_count_too(ledger: Ledger, clock: Clock) -> None:
    """Another process may have counted dry runs: the append can't know."""
    code = uuid4()
    terms = {"currency": "EUR", "max_amount_minor": 5, "confirm_above_minor": None}
    commit(
        ledger,
        command(IssuePayCode, "c", account="cash", pay_code=code, expires_in_s=60, **terms),
    )
    presuming(ledger)
    limits = AttemptLimits()
    for _ in range(limits.per_account):
        tried = Attempt(uuid4(), b"", "till", "bob", clock.now)
        assert ledger.store.count_attempt(tried, clock.now - WINDOW, limits)
    (refused,) = commit(
        ledger, replace(payment("p", ("", "bob", 1)), shown=ShownCode(pay_codes=(code,)))
    )
    assert isinstance(refused, TooManyAttempts)


def test_what_others_recorded_meanwhile_counts(ledger: Ledger, rival: Ledger) -> None:
    presuming(ledger)
    commit(rival, opened("o", "dora"), payment("theirs", ("alice", "bob", 60)))
    turns = []
    with pytest.MonkeyPatch.context() as patch, a_writer(ledger) as writer:
        patch.setattr(ledger.store, "turn", lambda: turns.append("taken"))
        refused = writer.submit(payment("mine", ("alice", "bob", 60))).result(timeout=10)
    assert refused.refusal is not None
    assert refused.refusal["code"] == "insufficient_funds"
    assert not turns, "no race was lost"


def test_while_others_write_too_the_store_is_looked_at(ledger: Ledger, rival: Ledger) -> None:
    presuming(ledger)
    commit(rival, payment("theirs", ("alice", "bob", 1)))
    commit(ledger, payment("mine", ("alice", "bob", 1)))
    commit(rival, payment("theirs too", ("alice", "bob", 1)))
    appends: list[int] = []
    insert = ledger.store.insert_events

    def counted(*args: Any, **kwargs: Any) -> Any:
        appends.append(kwargs["decided_at"])
        return insert(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger.store, "insert_events", counted)
        commit(ledger, payment("mine too", ("alice", "bob", 1)))
    assert len(appends) == 1


def test_recorded_time_never_steps_back_without_a_look_either(ledger: Ledger, clock: Clock) -> None:
    presuming(ledger)
    clock.later(seconds=-3600)
    with looks(ledger) as asked:
        commit(ledger, payment("p", ("alice", "bob", 1)))
    assert not asked
    last = ledger.store.read(end(ledger) - 1, end(ledger))
    assert len({one.recorded_at for one in last}) == 1  # type: ignore[attr-defined]
    assert last[0].recorded_at == clock.now + timedelta(seconds=3600)  # type: ignore[attr-defined]


def test_recorded_time_is_that_of_the_end_however_it_was_learned(
    ledger: Ledger, rival: Ledger, clock: Clock
) -> None:
    presuming(ledger)
    clock.later(seconds=1)
    commit(rival, payment("theirs", ("alice", "bob", 1)))
    clock.later(seconds=-1)
    for _ in range(2):  # finds what the other did, then nothing; and records nothing of its own
        commit(ledger, replace(payment("dry", ("alice", "bob", 1)), dry_run=True))
    with looks(ledger) as asked:
        answer(ledger, payment("mine", ("alice", "bob", 1)))
    assert not asked
