"""An account read from a snapshot goes on as the one that was replayed from its first event."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from application.ports import StoredSnapshot
from application.snapshots import account_of, replay, stored_state
from domain import leaving, limits
from domain.account import Account
from tests.fixtures.fix_events import History

LIMITS: list[dict[str, Any]] = [
    {"window": "hour", "carrier": None, "max_count": None, "max_amount": None},
    {"window": "day", "carrier": "qr", "max_count": None, "max_amount": 10**9},
    {"window": "month", "carrier": None, "max_count": 10**6, "max_amount": None},
]
STEPS = st.tuples(
    st.sampled_from([0, 0.3, 20, 600, 3_600, 86_400]),
    st.sampled_from(["pay", "hold", "capture", "void", "expire"]),
    st.sampled_from(["api", "qr"]),
)


def a_life(steps: list[Any]) -> History:
    """Alice's, with velocity limits."""
    town = History().open("alice", "bob").change("alice", limits=LIMITS)
    for gap, step, carrier in steps:
        town.later(seconds=gap)
        held = [each for each, made in town.payments.items() if made.state_at(town.now) == "held"]
        match step:
            case "pay":
                town.pay(("alice", "bob", 3), ("alice", "bob", 4), carrier=carrier)
            case "hold":
                town.hold(("alice", "bob", 5), carrier=carrier)
            case "capture" if held:
                town.capture(held[0], 1, final=False)
            case "void" if held:
                town.void(held[-1])
            case "expire":
                for each, made in town.payments.items():
                    if made.is_due(town.now):
                        town.expire(each)
    return town


def as_stored(account: Account) -> Account:
    state = stored_state(account)
    return account_of(StoredSnapshot(account.id, account.version, Account.STATE_VERSION, 0, state))


@given(steps=st.lists(STEPS, max_size=12))
def test_after_any_event_a_snapshot_goes_on_as_a_replay(steps: list[Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "MAX_EXACT", 2)
        patch.setattr(leaving, "MAX_BLOCK", 2)
        alice = a_life(steps).accounts["alice"]
        events = [event for event in a_life(steps).events if event.originator_id == alice.id]
        replayed = stored = None
        for event in events:
            replayed = replay(replayed, [event])
            stored = replay(stored, [event])
            assert isinstance(replayed, Account)
            assert isinstance(stored, Account)
            assert stored_state(stored) == stored_state(replayed)
            stored = as_stored(stored)
            assert stored.meters == replayed.meters
        assert stored_state(alice) == stored_state(stored)
