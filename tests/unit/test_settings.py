"""Settings: read in one place, wrong ones named, secrets never shown."""

import logging
from pathlib import Path

import pytest

from infrastructure.settings import Settings, SettingsError


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"TALLY_{name.upper()}", raising=False)


def test_without_variables_there_are_defaults() -> None:
    settings = Settings.load()
    assert (settings.host, settings.port, settings.ledger) == ("127.0.0.1", 8000, "main")
    assert settings.data == Path(".tally")
    assert settings.dsn is None


def test_a_variable_sets_what_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLY_PORT", "9000")
    assert Settings.load().port == 9000


def test_an_empty_variable_is_as_if_it_were_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLY_PORT", "")
    assert Settings.load().port == 8000


def test_an_argument_goes_before_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLY_PORT", "9000")
    assert Settings.load(port=9001).port == 9001
    assert Settings.load(port=None).port == 9000


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TALLY_PORT", "eighty"),
        ("TALLY_PORT", "65536"),
        ("TALLY_LEDGER", "no spaces"),
        ("TALLY_QUEUE_SIZE", "0"),
        ("TALLY_STORE_TIMEOUT_S", "-1"),
        ("TALLY_LOG_LEVEL", "loud"),
        ("TALLY_PUBLIC_URL", "https://pay.example/"),
        ("TALLY_PUBLIC_URL", "pay.example"),
        ("TALLY_QR_COUNTRY", "Germany"),
        ("TALLY_QR_CITY", "Villingen-Schwenningen"),
        ("TALLY_QR_MCC", "food"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"^{variable}: "):
        Settings.load()


def test_all_wrong_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLY_PORT", "eighty")
    monkeypatch.setenv("TALLY_LEDGER", "")
    monkeypatch.setenv("TALLY_BATCH_SIZE", "many")
    with pytest.raises(SettingsError, match=r"TALLY_PORT: .*; TALLY_BATCH_SIZE: ") as refused:
        Settings.load()
    assert "eighty" not in str(refused.value)


def test_a_wrong_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLY_SECRET", "too-short")
    with pytest.raises(SettingsError, match="TALLY_SECRET") as refused:
        Settings.load()
    assert "too-short" not in f"{refused.value}{refused.value.__cause__}"


def test_what_is_secret_is_not_in_the_representation() -> None:
    secret = "sixteen-or-more-characters"
    settings = Settings.load(secret=secret, dsn=f"password={secret}", owner_dsn=secret)
    assert secret not in f"{settings!r}{settings}"
    assert settings.secret is not None
    assert settings.secret.get_secret_value() == secret


def test_a_variable_that_is_no_setting_is_pointed_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TALLY_PROT", "9000")
    monkeypatch.setenv("TALLY_KEY", "tk_what_the_command_line_uses")
    with caplog.at_level(logging.WARNING):
        Settings.load()
    assert [record.getMessage() for record in caplog.records] == [
        "TALLY_PROT is no setting: it is ignored"
    ]


def test_a_mistyped_argument_is_our_mistake() -> None:
    with pytest.raises(SettingsError, match="TALLY_PROT"):
        Settings.load(prot=9000)
