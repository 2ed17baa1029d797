"""Our own QR codes for shops, field by field, within the standard's limits."""

import pytest

from infrastructure.carriers.emvco import amount_minor, build, currency, parse
from infrastructure.carriers.shop_qr import AmountNotRepresentable, ShopQr

SHOP_QR = ShopQr(country="DE", city="Freiburg", mcc="5814")
TOKEN = "h3bW0k2mQx8L6r9TzA1cVg"


def of_request(amount_minor: int | None, currency: str = "EUR", account: str = "shops:bob") -> str:
    return SHOP_QR.of_request(
        TOKEN, account=account, currency=currency, amount_minor=amount_minor, label="order-17"
    )


def test_the_code_of_a_request_is_dynamic_and_has_its_token_and_amount() -> None:
    assert parse(of_request(1050)) == {
        "00": "01",
        "01": "12",
        "26": {"00": "internal.tallystick", "01": TOKEN},
        "52": "5814",
        "53": "978",
        "54": "10.50",
        "58": "DE",
        "59": "shops:bob",
        "60": "Freiburg",
        "62": {"05": "order-17"},
        "63": of_request(1050)[-4:],
    }


def test_the_code_of_an_account_is_static_and_leaves_the_amount_to_the_payer() -> None:
    text = SHOP_QR.of_account("shops:bob", currency="JPY")
    fields = parse(text)
    assert (fields["01"], fields["53"]) == ("11", "392")
    assert fields["26"] == {"00": "internal.tallystick", "01": "shops:bob"}
    assert "54" not in fields
    assert "62" not in fields
    assert build(fields) == text


def test_the_payers_choice_has_no_amount() -> None:
    assert "54" not in parse(of_request(None))


@pytest.mark.parametrize(
    ("amount", "code", "text"),
    [
        (1, "EUR", "0.01"),
        (100, "EUR", "1.00"),
        (999_999_999_999, "EUR", "9999999999.99"),
        (1, "JPY", "1"),
        (9_999_999_999_999, "JPY", "9999999999999"),
        (1, "BHD", "0.001"),
        (1, "CLF", "0.0001"),
    ],
)
def test_an_amount_has_the_decimals_of_its_currency(amount: int, code: str, text: str) -> None:
    fields = parse(of_request(amount, code))
    assert fields["54"] == text
    assert (currency(fields), amount_minor(fields)) == (code, amount)


@pytest.mark.parametrize(
    ("amount", "code"),
    [(1_000_000_000_000, "EUR"), (10_000_000_000_000, "JPY"), (2**53 - 1, "CLF")],
)
def test_an_amount_of_more_than_13_characters_has_no_code(amount: int, code: str) -> None:
    with pytest.raises(AmountNotRepresentable):
        of_request(amount, code)


def test_the_longest_account_id_fits_and_its_name_is_cut() -> None:
    account = "a" * 63 + "b"
    fields = parse(SHOP_QR.of_account(account, currency="EUR"))
    assert fields["26"] == {"00": "internal.tallystick", "01": account}
    assert fields["59"] == "a" * 25
    assert len(of_request(999_999_999_999, account=account)) < 512
