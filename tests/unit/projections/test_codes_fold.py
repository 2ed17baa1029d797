"""What events make of pay codes, devices, and of what was booked by which carrier."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

import pytest

from application.history import event_json, event_of
from projections.feed import Record
from projections.payments.carriers import Booked, Held, booked, held_before
from projections.payments.codes import (
    CodesFolded,
    DeviceState,
    Ended,
    devices_needed,
    fold_codes,
)
from projections.payments.fold import fold
from tests.fixtures.fix_codes import CodeHistory
from tests.fixtures.fix_events import START

TODAY = date(2026, 11, 23)


def a_town() -> CodeHistory:
    town = CodeHistory()
    town.open("a", "b").open("dollars", currency="USD")
    return town


def test_a_pay_code_is_there_from_its_commands_record_on() -> None:
    town = a_town()
    code = town.issue("a", 500, confirm_above_minor=7)
    (issued,) = fold_codes(town.records(), {}).issued
    assert (issued.id, issued.issued_position) == (code, town.end)
    assert (issued.debit_account, issued.currency) == ("a", "EUR")
    assert (issued.max_amount_minor, issued.confirm_above_minor) == (500, 7)
    assert (issued.created_at, issued.expires_at) == (START, START + timedelta(seconds=60))


def test_a_pay_code_ends_once() -> None:
    town = a_town()
    used, over = town.issue("a"), town.issue("a")
    payment = town.pay_by(used, "b", 1)
    at = town.end
    town.later(seconds=60).expire_code(over)  # type: ignore[attr-defined]
    assert fold_codes(town.records(), {}).ended == [
        Ended(used, at, payment),
        Ended(over, town.end, None),
    ]


def test_a_device_has_a_state_for_each_event() -> None:
    town = a_town()
    device = town.register("a", 100, 250)
    at = town.end
    town.pay_offline(device, "b", 40)
    used_at = town.end
    town.online(device)
    online_at = town.end
    town.later(seconds=30)
    town.pay_offline(device, "b", 7)
    again_at = town.end
    town.revoke(device)
    states = [
        DeviceState(at, "active", 0),
        DeviceState(used_at, "active", 40),
        DeviceState(online_at, "active", 0),
        DeviceState(again_at, "active", 7),
        DeviceState(town.end, "revoked", 7),
    ]
    folded = fold_codes(town.records(), {})
    assert folded.device_states == [(device, state) for state in states]
    assert [(one.id, one.registered_position, one.handle) for one in folded.registered] == [
        (device, at, "0000000")
    ]
    for count, state in enumerate(states[:-1], 1):
        then = town.records(after=state.position)
        assert devices_needed(then) == {device}
        assert fold_codes(then, {device: state}).device_states == [
            (device, each) for each in states[count:]
        ]


def test_what_becomes_of_a_device_that_was_never_registered_is_a_lookup_error() -> None:
    town = a_town()
    device = town.register("a")
    at = town.end
    town.online(device)
    with pytest.raises(LookupError):
        fold_codes(town.records(after=at), {})


def test_other_events_make_no_code() -> None:
    town = a_town()
    town.pay(("a", "b", 1))
    assert fold_codes(town.records(), {}) == CodesFolded()
    assert devices_needed(town.records()) == set()


@pytest.mark.parametrize(
    ("step", "state", "captured"),
    [("confirm", "settled", 10), ("decline", "declined", 0), ("cancel", "canceled", 0)],
)
def test_what_becomes_of_a_payment_that_waits_for_its_payer(
    step: str, state: str, captured: int
) -> None:
    town = a_town()
    pending = town.pending("a", "b", 10)
    at = town.end
    folded = fold(town.records(), {})
    (made,) = folded.made
    assert (made.mode, made.expires_at) == ("settle", town.now + timedelta(seconds=45))
    waiting = folded.states[pending]
    assert (waiting.state, waiting.position, waiting.accounts) == (
        "pending_confirmation",
        at,
        {"a", "b"},
    )
    getattr(town, step)(pending)
    then = fold(town.records(after=at), {pending: waiting}).states[pending]
    assert (then.state, then.position, [*then.captured]) == (state, town.end, [captured])


def test_a_payment_whose_payer_no_code_named_is_on_one_account() -> None:
    town = a_town()
    payment = town.pay_by(None, "b", 10)
    assert fold(town.records(), {}).states[payment].accounts == {"b"}


# By carrier -------------------------------------------------------------------------------


def told(records: Sequence[Record], known: dict[UUID, Held] | None = None) -> list[Booked]:
    return [*booked(records, known or {})]


def test_a_payment_is_booked_when_it_settles_currency_by_currency() -> None:
    town = a_town()
    town.open("fx", currency="USD")
    town.pay(("a", "b", 10), ("b", "a", 5), carrier="qr")
    at = town.end
    town.pay(("fx", "dollars", 3), currency="USD", carrier="nfc")
    assert told(town.records()) == [
        Booked(at, 0, TODAY, "qr", "EUR", 1, 15),
        Booked(town.end, 0, TODAY, "nfc", "USD", 1, 3),
    ]


def test_a_capture_is_booked_on_its_day_and_the_payment_counted_at_its_first() -> None:
    town = a_town()
    pair = town.hold(("a", "b", 10), ("b", "a", 4), carrier="sonic")
    single = town.hold(("a", "b", 10))
    assert told(town.records()) == []
    town.capture(single, 4, final=False)
    first_at = town.end
    town.later(days=1).capture(single, 6)
    then_at = town.end
    town.capture(pair)
    tomorrow = TODAY + timedelta(days=1)
    expected = [
        Booked(first_at, 0, TODAY, "api", "EUR", 1, 4),
        Booked(then_at, 0, tomorrow, "api", "EUR", 0, 6),
        Booked(town.end, 0, tomorrow, "sonic", "EUR", 1, 14),
    ]
    assert told(town.records()) == expected
    late = town.records(after=first_at)
    assert held_before(late) == {pair, single}
    known = {
        single: Held("api", ["EUR"], [4]),
        pair: Held("sonic", ["EUR", "EUR"], [0, 0]),
    }
    assert told(late, known) == expected[1:]
    with pytest.raises(LookupError):
        told(late)


def test_what_waits_is_booked_when_it_is_confirmed() -> None:
    town = a_town()
    town.decline(town.pending("a", "b", 10))
    pending = town.pending("a", "b", 10)
    assert told(town.records()) == []
    town.confirm(pending)
    assert told(town.records()) == [Booked(town.end, 0, TODAY, "api", "EUR", 1, 10)]


def test_what_comes_by_kafka_is_folded_alike() -> None:
    """An item tells less than an event: not what command it is of."""
    town = a_town()
    town.pay_by(town.issue("a"), "b", 7, carrier="qr")
    town.confirm(town.pending("a", "b", 10)).decline(town.pending("a", "b", 10))
    device = town.register("a")
    town.pay_offline(device, "b", 9)
    town.online(device).revoke(device)
    forgotten = town.issue("a")
    town.later(seconds=60).expire_code(forgotten)  # type: ignore[attr-defined]
    records = town.records()
    received = [
        record._replace(event=event_of(event_json(record.position, record.event), ledger="main")[1])
        for record in records
    ]
    assert fold_codes(received, {}) == fold_codes(records, {})
    assert told(received) == told(records)
    assert fold(received, {}) == fold(records, {})
