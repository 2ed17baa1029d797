"""Commands that need Kafka say so, before they look for anything else."""

from __future__ import annotations

import pytest

from tests.fixtures.fix_tally import tally

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "command",
    [
        ("mirror",),
        ("project", "--feed", "kafka"),
        ("rebuild", "balances", "--feed", "kafka"),
        ("reconcile", "--kafka"),
    ],
    ids=" ".join,
)
def test_without_a_broker_named_it_says_which_setting_names_one(command: tuple[str, ...]) -> None:
    ran = tally(*command)
    assert ran.code == 2
    assert ran.err.strip() == (
        "tally: no Kafka broker is named: set TALLY_KAFKA_BOOTSTRAP=host:port"
    )


@pytest.mark.parametrize("wrong", ["broker", "broker:x", "a:1,,b:2", "a:1, b:2"])
def test_a_list_of_brokers_that_is_none_is_named(wrong: str) -> None:
    ran = tally("mirror", TALLY_KAFKA_BOOTSTRAP=wrong)
    assert ran.code == 2
    assert "TALLY_KAFKA_BOOTSTRAP" in ran.err
    assert "internal error" not in ran.err
