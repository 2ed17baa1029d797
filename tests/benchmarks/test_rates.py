"""How fast the parts are by themselves; figures, not bounds: those depend on the machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from infrastructure.mapper import EventMapper
from projections.balances.fold import fold
from tests.fixtures.fix_events import History
from tests.fixtures.fix_ledger import a_ledger, a_writer, opened, payment
from tests.fixtures.fix_postgres import Store

pytestmark = pytest.mark.slow
Figure = Callable[[str, object], None]
Scaled = Callable[..., int]


@contextmanager
def rate(figure: Figure, name: str, count: int) -> Iterator[None]:
    began = time.perf_counter()
    yield
    figure(f"{name}/s", int(count / (time.perf_counter() - began)))


def test_payments_through_the_writer(fresh_store: Store, scaled: Scaled, figure: Figure) -> None:
    count = scaled(50_000, least=2_000)
    with a_ledger(fresh_store) as ledger, a_writer(ledger, queue_size=count + 100) as writer:
        for number in range(50):
            writer.submit(opened(f"open-{number}", f"a{number}", overdraft_limit=None)).result(30)
        commands = [
            payment(f"pay-{n}", (f"a{n % 50}", f"a{(n * 7 + 1) % 50}", 100))
            for n in range(count)
            if n % 50 != (n * 7 + 1) % 50
        ]
        with rate(figure, "payments through the writer, without HTTP", len(commands)):
            answers = [writer.submit(command) for command in commands]
            assert not any(answer.result(120).refusal for answer in answers)


def test_events_decoded_and_folded(scaled: Scaled, figure: Figure) -> None:
    history = History().open(*(f"a{number}" for number in range(50)))
    for number in range(scaled(50_000, least=2_000)):
        history.pay((f"a{number % 50}", f"a{(number + 1) % 50}", 100))
    mapper = EventMapper()
    stored = [mapper.to_stored_event(event) for event in history.events]
    with rate(figure, "events decoded", len(stored)):
        decoded = [
            mapper.decode(one.topic, one.state, one.originator_id, one.originator_version, now)
            for one, now in zip(stored, (e.timestamp for e in history.events), strict=True)
        ]
    assert decoded == history.events
    records = history.records()
    with rate(figure, "events folded to balances", len(records)):
        folded = fold(records, {}, {})
    assert sum(balance.posted for balance in folded.current.values()) == 0
