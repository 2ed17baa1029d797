"""Sums while partitions of a feed run apart, and the watermark stands within a payment."""

from __future__ import annotations

from contextlib import closing

import pytest

from infrastructure.kafka.topics import partition_of
from projections.generation import connect, live_generation
from projections.registry import PROJECTIONS
from tests.fixtures.fix_api import Api
from tests.fixtures.fix_events import History
from tests.fixtures.fix_parted import PartedFeed


@pytest.fixture
def within_a_payment(api_without_workers: Api) -> Api:
    """Balances at position 6: of the payment of 5 … 7 the debit is there, the credit isn't."""
    api = api_without_workers
    history = History(ledger=api.store.ledger).open("carol", "bob")
    history.pay(("carol", "bob", 10))
    assert history.store(api.store.app_dsn) == 7
    feed = PartedFeed(history)
    with closing(connect(api.store.app_dsn, "test")) as connection:
        generation = live_generation(connection, PROJECTIONS["balances"], feed)
        records, debited = feed.records, partition_of("carol")
        assert debited not in {partition_of("bob"), records[4].partition}
        generation.of([debited]).apply([each for each in records if each.partition == debited])
        others = generation.of(generation.marks.keys() - {debited})
        others.apply([each for each in records if each.partition != debited], feed.progress)
        loaded = live_generation(connection, PROJECTIONS["balances"], feed)
        assert loaded.watermark == 6
    return api


def test_a_trial_balance_is_of_where_a_command_ends(within_a_payment: Api) -> None:
    answer = within_a_payment.get("/v1/trial-balance")
    assert answer.json()["balanced"]
    assert (answer.json()["position"], answer.headers["Ledger-Position"]) == (4, "4")
    lines = within_a_payment.get("/v1/trial-balance/accounts").json()
    assert lines["position"] == 4
    assert sum(line["debit"] - line["credit"] for line in lines["items"]) == 0


def test_totals_are_of_where_a_command_ends(within_a_payment: Api) -> None:
    answer = within_a_payment.get("/v1/balances/total")
    assert [item["posted"] for item in answer.json()["items"]] == [0]
    assert answer.json()["position"] == 4


@pytest.mark.parametrize("path", ["/v1/trial-balance", "/v1/balances/total"])
def test_a_position_within_a_payment_is_waited_for_to_its_end(
    within_a_payment: Api, path: str
) -> None:
    answer = within_a_payment.get(path, min_position=6, headers={"Prefer": "wait=0"})
    assert (answer.status_code, answer.json()["code"]) == (503, "not_caught_up")
    assert within_a_payment.get(path, min_position=4).status_code == 200


def test_one_balance_is_of_the_watermark_itself(within_a_payment: Api) -> None:
    balances = {
        item["account"]: item["posted"]
        for item in within_a_payment.get("/v1/balances").json()["items"]
    }
    assert balances == {"carol": -10, "bob": 0}
