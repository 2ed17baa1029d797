"""Money, times and ids."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from domain.command import CommandRecord
from domain.events import CommandDecided
from domain.ids import account_stream, command_stream, due_command
from domain.money import decimal_text, exponent, is_currency, minor_units
from domain.refusals import AccountClosed
from domain.times import time_text
from tests.unit.domain.given import ACTOR, COMMAND, NOW


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("10.50", "EUR", 1050),
        ("1.00E+07", "EUR", 1_000_000_000),
        ("7", "JPY", 7),
        ("1.234", "BHD", 1234),
        ("0", "EUR", 0),
        ("-0.01", "EUR", -1),
    ],
)
def test_amounts_in_major_units_become_minor_units(text: str, currency: str, minor: int) -> None:
    assert minor_units(text, currency) == minor


@pytest.mark.parametrize("text", ["1.001", "ten", "", "NaN", "Infinity", "1e999999999"])
def test_what_is_no_amount_of_the_currency_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="EUR"):
        minor_units(text, "EUR")


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [(1050, "EUR", "10.50"), (-5, "EUR", "-0.05"), (7, "JPY", "7"), (2**63, "BHD", None)],
)
def test_minor_units_are_written_in_major_units(
    minor: int, currency: str, text: str | None
) -> None:
    assert decimal_text(minor, currency) == (text or "9223372036854775.808")


def test_currencies_have_a_minor_unit() -> None:
    assert is_currency("EUR")
    assert not any(map(is_currency, ("XAU", "XXX", "eur", "")))
    assert (exponent("EUR"), exponent("JPY"), exponent("CLF")) == (2, 0, 4)


def test_names_do_not_run_together_in_an_id() -> None:
    assert command_stream("main", "a", "bc") != command_stream("main", "ab", "c")
    assert account_stream("main", "a") != account_stream("other", "a")
    assert command_stream("main", "é", "k") == command_stream("main", "é", "k")


def test_ids_are_permanent() -> None:
    assert str(account_stream("main", "customers:alice")) == "d44a7394-1fd2-5890-979f-12e24593c086"
    assert str(command_stream("main", "shop", "order-17")) == "86ef7337-0877-54cd-b137-13506b8552ce"


def test_a_time_is_written_in_utc_with_six_decimals() -> None:
    assert time_text(datetime(2026, 11, 23, 9, 30, tzinfo=UTC)) == "2026-11-23T09:30:00.000000Z"
    east = datetime(2026, 11, 23, 9, 30, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    assert time_text(east) == "2026-11-23T07:30:00.000005Z"


@pytest.mark.parametrize("refused", [None, AccountClosed(account="a")])
def test_a_command_is_a_stream_of_one_event(refused: AccountClosed | None) -> None:
    record = CommandRecord.decide(
        stream=COMMAND,
        fingerprint=b"f",
        actor=ACTOR,
        now=NOW,
        name="freeze_account",
        account="a",
        refused=refused,
        account_after={},
    )
    (event,) = record.collect()
    assert isinstance(event, CommandDecided)
    assert event.outcome == record.outcome == ("refused" if refused else "accepted")
    assert event.refusal == ({"code": "account_closed", "account": "a"} if refused else None)


def test_what_the_ledger_does_by_itself_has_an_id_of_its_own_once_a_payment() -> None:
    assert due_command(COMMAND, "expire") == due_command(COMMAND, "expire")
    assert due_command(COMMAND, "expire") != due_command(COMMAND, "execute")
