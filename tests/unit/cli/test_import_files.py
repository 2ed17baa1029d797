"""Files as people make them: what they ask for, and which line is wrong."""

from pathlib import Path

import pytest

from api.cli.importing.our_csv import our_rows
from api.cli.importing.paysim import paysim_rows
from api.cli.importing.rows import Account, Malformed, Payment, Row

PAYSIM_HEADER = (
    "step,type,amount,nameOrig,oldbalanceOrg,newbalanceOrig,nameDest,oldbalanceDest,"
    "newbalanceDest,isFraud,isFlaggedFraud\n"
)


def paysim_of(tmp_path: Path, *lines: str, currency: str = "EUR") -> list[Row]:
    file = tmp_path / "paysim.csv"
    file.write_text(PAYSIM_HEADER + "".join(f"{line}\n" for line in lines))
    return list(paysim_rows(file, currency))


def csv_of(tmp_path: Path, text: str) -> list[Row]:
    file = tmp_path / "day.csv"
    file.write_text(text)
    return list(our_rows(file, "EUR"))


def payments(rows: list[Row]) -> list[Payment]:
    return [step for row in rows for step in row.steps if isinstance(step, Payment)]


def accounts(rows: list[Row]) -> list[Account]:
    return [step for row in rows for step in row.steps if isinstance(step, Account)]


def test_a_paysim_customer_opens_with_the_old_balance_and_then_pays(tmp_path: Path) -> None:
    (row,) = paysim_of(tmp_path, "1,PAYMENT,9839.64,C1,170136,160296.36,M9,0,0,0,0")
    assert [type(step).__name__ for step in row.steps] == [
        "Account",
        "Account",
        "Payment",
        "Account",
        "Payment",
    ]
    opening, paid = payments([row])
    assert (opening.debit, opening.credit) == ("clearing:opening", "customers:C1")
    assert (opening.amount_minor, opening.counted) == (17_013_600, False)
    assert (paid.debit, paid.credit, paid.amount_minor) == ("customers:C1", "merchants:M9", 983_964)
    assert paid.counted


def test_a_paysim_customer_with_nothing_gets_no_opening_payment(tmp_path: Path) -> None:
    assert len(payments(paysim_of(tmp_path, "1,DEBIT,5,C1,0,0,C2,0,0,0,0"))) == 1


@pytest.mark.parametrize(
    ("kind", "debit", "credit"),
    [
        ("CASH_IN", "clearing:cash", "customers:C1"),
        ("CASH_OUT", "customers:C1", "clearing:cash"),
        ("DEBIT", "customers:C1", "clearing:bank"),
        ("PAYMENT", "customers:C1", "merchants:C2"),
        ("TRANSFER", "customers:C1", "customers:C2"),
    ],
)
def test_each_paysim_type_moves_money_between_its_own_two_accounts(
    tmp_path: Path, kind: str, debit: str, credit: str
) -> None:
    (payment,) = payments(paysim_of(tmp_path, f"1,{kind},5,C1,0,0,C2,0,0,0,0"))
    assert (payment.debit, payment.credit) == (debit, credit)


def test_clearing_accounts_are_debit_normal_and_unlimited_customers_are_not(tmp_path: Path) -> None:
    opened = {account.id: account for account in accounts(paysim_of(tmp_path, cash_out("5")))}
    assert opened["clearing:cash"].normal_side == "debit"
    assert opened["clearing:cash"].overdraft_limit is None
    assert opened["customers:C1"].overdraft_limit == 0


def test_an_amount_in_exponent_form_is_read_exactly(tmp_path: Path) -> None:
    (payment,) = payments(paysim_of(tmp_path, cash_out("1.00E+07")))
    assert payment.amount_minor == 1_000_000_000


def test_a_paysim_key_is_of_row_number_content_and_currency(tmp_path: Path) -> None:
    first, second = payments(paysim_of(tmp_path, cash_out("5"), cash_out("5")))
    assert first.key != second.key
    (again,) = payments(paysim_of(tmp_path, cash_out("5")))
    assert again.key == first.key
    (changed,) = payments(paysim_of(tmp_path, cash_out("6")))
    assert changed.key != first.key
    (other,) = payments(paysim_of(tmp_path, cash_out("5"), currency="USD"))
    assert other.key != first.key


@pytest.mark.parametrize("amount", ["", "ten", "-5", "0", "1e999999999", "1_0", "NaN", "0.001"])
def test_a_bad_amount_names_its_line(tmp_path: Path, amount: str) -> None:
    with pytest.raises(Malformed, match=r"^line 3: amount"):
        paysim_of(tmp_path, cash_out("5"), cash_out(amount))


def test_a_file_of_another_kind_is_no_paysim_file(tmp_path: Path) -> None:
    file = tmp_path / "other.csv"
    file.write_text("id,type\n1,payment\n")
    with pytest.raises(Malformed, match="line 1: this is no PaySim file"):
        list(paysim_rows(file, "EUR"))


def test_our_csv_has_accounts_and_payments_in_one_file(tmp_path: Path) -> None:
    rows = csv_of(
        tmp_path,
        "type,id,currency,normal_side,overdraft_limit,debit,credit,amount,value_date,metadata.shop\n"
        "account,cash,EUR,debit,unlimited,,,,,\n"
        "account,alice,EUR,,,,,,,\n"
        "payment,p-1,EUR,,,cash,alice,10.50,2026-11-23,corner\n",
    )
    cash, alice = accounts(rows)
    assert cash.normal_side == "debit"
    assert (cash.overdraft_limit, cash.max_balance) == (None, None)
    assert (alice.normal_side, alice.overdraft_limit, alice.max_balance) == ("credit", 0, None)
    (payment,) = payments(rows)
    assert (payment.key, payment.amount_minor) == ("import-p-1", 1050)
    assert (payment.value_date, payment.metadata) == ("2026-11-23", {"shop": "corner"})


def test_amounts_have_as_many_decimals_as_their_currency(tmp_path: Path) -> None:
    header = "type,id,currency,debit,credit,amount\n"
    (yen, dinar) = payments(
        csv_of(tmp_path, header + "payment,1,JPY,a,b,1050\npayment,2,BHD,a,b,1.050\n")
    )
    assert (yen.amount_minor, dinar.amount_minor) == (1050, 1050)
    with pytest.raises(Malformed, match="line 2: amount is no amount of JPY"):
        csv_of(tmp_path, header + "payment,1,JPY,a,b,10.50\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the file is empty"),
        ("type,id\n", "line 1: the header has no column currency"),
        ("type,id,currency,colour\n", "line 1: the header has an unknown column 'colour'"),
        (
            "type,id,currency,\x1b[2J\n",
            r"line 1: the header has an unknown column '\\x1b\[2J'",
        ),
        ("type,id,currency,id\n", "line 1: the header has the column id twice"),
        ("type,id,currency\naccount,a\n", "line 2: 2 columns where the header has 3"),
        ("type,id,currency\nhold,a,EUR\n", "line 2: type is neither"),
        ("type,id,currency\naccount,:a,EUR\n", "line 2: id is no account id"),
        ("type,id,currency\naccount,a,XAU\n", "line 2: currency is no ISO 4217"),
        ("type,id,currency,debit\naccount,a,EUR,b\n", "line 2: an account has no debit"),
        ("type,id,currency\npayment,a b,EUR\n", "line 2: id is not 1 to 200 visible"),
        (
            "type,id,currency,debit,credit,amount,value_date\npayment,1,EUR,a,b,1,2026-02-30\n",
            "line 2: value_date is no day",
        ),
        ('type,id,currency\naccount,"a,EUR\n', "line 2: "),
    ],
)
def test_a_line_that_can_not_be_read_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(Malformed, match=f"^{message}"):
        csv_of(tmp_path, text)


def test_a_line_without_an_end_is_refused_by_its_number(tmp_path: Path) -> None:
    longest = "type,id,currency\naccount,a,EUR\n" + "," * 1024 * 1024
    with pytest.raises(Malformed, match=r"^line 3: 1048577 columns where"):
        csv_of(tmp_path, longest)
    with pytest.raises(Malformed, match=r"^line 3: it is longer than 1,048,576 characters"):
        csv_of(tmp_path, longest + ",")


def test_text_in_another_encoding_is_refused_by_line(tmp_path: Path) -> None:
    file = tmp_path / "latin.csv"
    file.write_bytes(b"type,id,currency\naccount,caf\xe9,EUR\n")
    with pytest.raises(Malformed, match="UTF-8"):
        list(our_rows(file, "EUR"))


def test_the_whole_paysim_file_can_be_read(paysim: Path) -> None:
    made = payments(list(paysim_rows(paysim, "EUR")))
    assert sum(payment.counted for payment in made) == 19_999
    assert sum(not payment.counted for payment in made) == 14_636
    assert len({payment.key for payment in made}) == len(made)


def cash_out(amount: str) -> str:
    return f"1,CASH_OUT,{amount},C1,0,0,C2,0,0,0,0"
