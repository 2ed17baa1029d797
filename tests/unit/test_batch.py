"""Commands that are decided as one: all of them are kept, or nothing is."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from application.attempts import AttemptLimits, Attempts
from application.batch import Batch, BulkRefused, Draft, Together
from application.commands import Command, MakePayment, PayTogether
from application.ports import End
from domain.command import CommandRecord
from domain.events import Actor
from domain.order import PaymentOrder
from domain.refusals import AccountExists
from tests.fixtures.fix_attempts import AttemptsInMemory

ACTOR = Actor("shop", "k1", "r1")
NOW = datetime(2026, 11, 23, tzinfo=UTC)


def payment(meaning: bytes = b"") -> MakePayment:
    order = PaymentOrder(postings=(), metadata={})
    return MakePayment(id=uuid4(), fingerprint=meaning, actor=ACTOR, order=order)


def together(*payments: MakePayment, all_or_none: bool = True, dry_run: bool = False) -> Command:
    return PayTogether(
        id=uuid4(),
        fingerprint=b"",
        actor=ACTOR,
        payments=payments,
        all_or_none=all_or_none,
        dry_run=dry_run,
    )


def decide(command: Command, draft: Draft) -> None:
    """One event a command, but for those that are marked."""
    if command.fingerprint == b"defect":
        raise ZeroDivisionError
    if command.fingerprint == b"refused":
        raise AccountExists
    draft.events += CommandRecord.decide(
        stream=command.id,
        fingerprint=command.fingerprint,
        actor=command.actor,
        now=draft.now,
        name="test",
        refused=None,
        account="alice",
        account_after={},
    ).collect()


@pytest.fixture
def batch() -> Batch:
    return Batch(
        ledger="main",
        decided_at=End(),
        now=NOW,
        decide=decide,
        account=lambda _: None,
        subject=lambda _: None,
        known={},
        attempts=Attempts(AttemptsInMemory(), AttemptLimits(), NOW, ()),
    )


def test_all_are_kept(batch: Batch) -> None:
    batch.decide([together(payment(), payment())])
    assert len(batch.events) == len(batch.accepted()) == 2


@pytest.mark.parametrize(
    ("fault", "told"), [(b"refused", BulkRefused), (b"defect", ZeroDivisionError)]
)
def test_a_refusal_and_a_defect_leave_nothing_of_the_others(
    batch: Batch, fault: bytes, told: type[Exception]
) -> None:
    before = payment()
    batch.decide([before])
    batch.decide([together(payment(), payment(fault), payment())])
    assert isinstance(batch.decisions[-1], told)
    assert len(batch.events) == 1
    assert list(batch.accepted()) == [before.id]


@pytest.mark.parametrize("all_or_none", [True, False])
def test_a_dry_run_keeps_nothing(batch: Batch, all_or_none: bool) -> None:
    twin = payment()
    batch.decide([together(twin, twin, payment(), all_or_none=all_or_none, dry_run=True)])
    (decision,) = batch.decisions
    assert isinstance(decision, Together)
    replayed = [getattr(each, "replayed", None) for each in decision.decisions]
    assert replayed == [False, True, False]
    assert batch.events == []
    assert not batch.accepted()


def test_a_dry_run_of_each_for_itself_goes_on_after_a_refusal(batch: Batch) -> None:
    lines = payment(b"refused"), payment(b"defect"), payment()
    batch.decide([together(*lines, all_or_none=False, dry_run=True)])
    (decision,) = batch.decisions
    assert isinstance(decision, Together)
    refused, defect, decided = decision.decisions
    assert isinstance(refused, AccountExists)
    assert isinstance(defect, ZeroDivisionError)
    assert not isinstance(decided, Exception)
