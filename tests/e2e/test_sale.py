"""Two terminals make a sale: `tally paycode` is the payer's phone, `tally cashier` the till."""

from __future__ import annotations

import asyncio
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from api.cli.client import connected
from api.cli.product import Product
from api.cli.sale import conclude
from domain.code_digits import is_code
from tests.fixtures.fix_secrets import note
from tests.fixtures.fix_tally import PATIENCE_S, PROGRAM, Ran, Up, environment, tally

pytestmark = pytest.mark.slow

FUNDS = 5000
PRICE = 420


class Sale(NamedTuple):
    """A payer with 50.00 EUR and a shop, of one test alone."""

    up: Up
    payer: str
    shop: str

    @property
    def data(self) -> tuple[str, str]:
        return "--data", str(self.up.data)

    def phone(self, *arguments: str, max_amount: int = 1000) -> tuple[str, ...]:
        asks = ("--account", self.payer, "--max-amount", str(max_amount))
        return ("paycode", *asks, *arguments, *self.data)

    def till(self, *arguments: str) -> tuple[str, ...]:
        asks = ("--account", self.shop, "--amount", str(PRICE))
        return ("cashier", *asks, *arguments, *self.data)

    def taken(self) -> int:
        """What the shop has, and the payer has not any more."""
        end = self.up.get("/v1/status")["end"]
        payer, shop = (
            self.up.get(f"/v1/accounts/{account}/balance?min_position={end}")
            for account in (self.payer, self.shop)
        )
        assert payer["pending_debit"] == shop["pending_credit"] == 0
        assert payer["available"] == payer["posted"] == FUNDS - shop["posted"]
        return int(shop["posted"])


@pytest.fixture
def sale(product: Up) -> Sale:
    run = secrets.token_hex(6)
    cash, payer, shop = (f"{run}:{name}" for name in ("cash", "alice", "bakery"))
    unlimited = {"normal_side": "debit", "overdraft_limit": None}
    product.post("/v1/accounts", cash, {"id": cash, "currency": "EUR", **unlimited}, role="admin")
    for account in (payer, shop):
        product.post("/v1/accounts", account, {"id": account, "currency": "EUR"})
    funding = {"debit": cash, "credit": payer, "amount": FUNDS, "currency": "EUR"}
    product.post("/v1/payments", run, {"postings": [funding]})
    return Sale(product, payer, shop)


class Terminal:
    """A command that runs, with a person at it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.seen = ""

    def sees(self, words: str) -> str:
        """The line with these words, when it comes."""
        assert self.process.stdout is not None
        for line in self.process.stdout:  # bounded by the test's time limit
            self.seen += line
            if words in line:
                return line
        raise AssertionError(f"{words!r} never came:\n{self.seen}")

    def code(self) -> str:
        """The digits it shows."""
        self.sees("▀▀▀▀")
        assert self.process.stdout is not None
        while not is_code(digits := self.process.stdout.readline().strip().replace(" ", "")):
            pass
        note(digits.encode())
        return digits

    def types(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def ends(self) -> tuple[int, str]:
        """How, and the last line of what it says."""
        assert self.process.stdout is not None
        self.seen += self.process.stdout.read()  # bounded by the test's time limit
        return self.process.wait(PATIENCE_S), self.seen.splitlines()[-1]


@contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    with subprocess.Popen(
        [*PROGRAM, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        bufsize=1,
        env=environment(),
        # Who runs tests in the background has Ctrl-C ignored, and would hand that on.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    ) as process:
        try:
            yield Terminal(process)
        finally:
            process.kill()


def test_the_payer_shows_a_code_and_the_cashier_types_it(sale: Sale) -> None:
    with terminal(*sale.phone()) as phone, terminal(*sale.till()) as till:
        code = phone.code()
        assert "good until" in phone.sees("60 seconds")
        till.types(code[:-1] + str(9 - int(code[-1])))
        till.sees("That is no code")
        till.types(f"{code[:12]} {code[12:]}")
        # What is asked and what is typed are on one line; here nobody's typing shows.
        assert till.ends() == (0, "The payer's code, for 4.20 EUR: Paid: 4.20 EUR.")
        assert phone.ends() == (0, f"Paid: 4.20 EUR to {sale.shop}.")
    assert sale.taken() == PRICE


@pytest.mark.parametrize(
    ("option", "carrier"),
    [("--png", "qr"), ("--barcode", "barcode"), ("--ndef", "nfc"), ("--wav", "sonic")],
)
def test_a_file_carries_the_code(sale: Sale, tmp_path: Path, option: str, carrier: str) -> None:
    if carrier == "sonic":
        pytest.importorskip("ggwave")
    file = tmp_path / "code"
    shown = tally(*sale.phone(option, str(file), "--no-wait", "--json"))
    assert (shown.code, shown.json["state"], shown.json["payment"]) == (0, "live", None)
    assert file.stat().st_mode & 0o777 == 0o600
    sold = tally(*sale.till(option, str(file), "--reference", "table-4", "--json"))
    assert (sold.code, sold.json["state"], sold.json["carrier"]) == (0, "settled", carrier)
    payment = sale.up.get(f"/v1/payments/{sold.json['payment_id']}")
    assert (payment["carrier"], payment["reference"]) == (carrier, "table-4")
    assert sale.taken() == PRICE
    again = tally(*sale.till(option, str(file), "--json"))
    assert (again.code, again.json["refusal"]) == (1, "pay_code_invalid")
    assert sale.taken() == PRICE


@pytest.mark.parametrize(
    ("says", "how", "word", "taken"),
    [("yes", 0, "Paid", PRICE), ("no", 1, "Declined", 0)],
)
def test_the_payer_is_asked_what_becomes_of_a_large_sum(
    sale: Sale, says: str, how: int, word: str, taken: int
) -> None:
    with (
        terminal(*sale.phone("--confirm-above", "400")) as phone,
        terminal(*sale.till("--code", phone.code())) as till,
    ):
        till.sees("The payer has to confirm")
        assert f"Pay 4.20 EUR to {sale.shop}?" in phone.sees("yes or no")
        phone.types("perhaps")
        phone.sees("yes or no?")
        phone.types(says)
        assert phone.ends() == (how, f"{word}: 4.20 EUR to {sale.shop}.")
        assert till.ends() == (how, f"{word}: 4.20 EUR.")
    assert sale.taken() == taken


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=lambda stop: stop.name)
def test_a_cashier_who_presses_ctrl_c_takes_the_payment_back(
    sale: Sale, stop: signal.Signals
) -> None:
    with terminal(*sale.phone("--confirm-above", "0")) as phone:
        with terminal(*sale.till("--code", phone.code())) as till:
            phone.sees("yes or no")
            till.sees("Ctrl-C")
            till.process.send_signal(stop)
            assert till.ends() == (1, "Canceled: 4.20 EUR.")
        assert phone.ends() == (1, f"Canceled: 4.20 EUR to {sale.shop}.")
    assert sale.taken() == 0


@pytest.mark.parametrize("late", ["cancel", "decline", "confirm"])
def test_who_comes_too_late_is_told_what_came_first(sale: Sale, late: str) -> None:
    shown = tally(*sale.phone("--confirm-above", "0", "--no-wait", "--json")).json
    posting = {"credit": sale.shop, "amount": PRICE, "currency": "EUR"}
    by_code = {"pay_code": shown["code"], "postings": [posting]}
    payment = sale.up.post("/v1/payments", f"{sale.shop}-1", by_code)
    sale.up.post(f"/v1/payments/{payment['id']}/confirm", f"{sale.shop}-2", {})

    async def comes() -> dict[str, Any]:
        product = Product(url=sale.up.url, key=sale.up.keys["client"], admin_key=None)
        async with connected(product) as client:
            return await conclude(client, payment, late)

    assert asyncio.run(comes())["state"] == "settled"


def test_a_payer_who_goes_away_leaves_the_code_and_says_so(sale: Sale) -> None:
    with terminal(*sale.phone()) as phone:
        code = phone.code()
        phone.process.send_signal(signal.SIGINT)
        how, last = phone.ends()
    assert how == 2
    assert "may still be used" in last
    assert tally(*sale.till("--code", code)).code == 0


def test_a_code_that_nobody_uses_ends(sale: Sale) -> None:
    began = time.monotonic()
    shown = tally(*sale.phone("--expires-in", "10", "--json"))
    assert time.monotonic() - began > 9
    assert (shown.code, shown.json["state"], shown.json["payment"]) == (1, "expired", None)


def test_a_phone_without_network_makes_a_code(sale: Sale, tmp_path: Path) -> None:
    device = sale.up.post(
        "/v1/devices",
        f"{sale.payer}-phone",
        {
            "debit_account": sale.payer,
            "currency": "EUR",
            "per_payment_max": 1000,
            "offline_total_max": 1000,
        },
    )
    offline = ("paycode", "--offline", device["handle"], "--secret", device["secret"], "--json")
    shown = tally(*offline, "--png", "code.png", cwd=tmp_path)  # nothing runs there
    assert shown.code == 0, shown.err
    assert [file.name for file in tmp_path.iterdir()] == ["code.png"]
    sold = tally(*sale.till("--png", str(tmp_path / "code.png"), "--json"))
    assert (sold.code, sold.json["state"]) == (0, "settled"), sold.err
    assert sale.taken() == PRICE
    spent = tally(*sale.till("--code", shown.json["code"], "--json"))
    assert (spent.code, spent.json["refusal"]) == (1, "pay_code_invalid")


def test_what_is_refused_is_told_by_its_code(sale: Sale, tmp_path: Path) -> None:
    white = tmp_path / "white.png"
    white.write_bytes(b"no picture")
    code = tally(*sale.phone("--no-wait", "--json", max_amount=PRICE - 1)).json["code"]
    refused: Callable[..., Any] = lambda ran: (ran.code, ran.json["refusal"])  # noqa: E731
    assert refused(tally(*sale.till("--code", code, "--json"))) == (1, "pay_code_exceeded")
    assert refused(tally(*sale.till("--png", str(white), "--json"))) == (1, "not_readable")
    nobody = sale._replace(payer="nobody").phone("--json")
    assert refused(tally(*nobody)) == (1, "account_unknown")
    assert "pay_code_exceeded" in tally(*sale.till("--code", code)).out
    assert sale.taken() == 0


def test_both_work_by_url_and_key(sale: Sale) -> None:
    by_url = {"TALLY_KEY": sale.up.keys["client"]}
    phone, till = sale.phone("--no-wait", "--json")[:-2], sale.till("--json")[:-2]
    shown = tally(*phone, "--url", sale.up.url, **by_url)
    sold = tally(*till, "--code", shown.json["code"], "--url", sale.up.url, **by_url)
    assert sold.json["state"] == "settled"


def test_a_till_without_a_code_or_with_a_wrong_key_can_not_run(sale: Sale) -> None:
    assert_can_not_run(tally(*sale.till("--wav", "missing.wav")))
    assert_can_not_run(tally(*sale.till()))  # its input has ended
    auditor = {"TALLY_KEY": sale.up.keys["auditor"]}
    wrong = tally(*sale.till("--code", "1")[:-2], "--url", sale.up.url, **auditor)
    assert_can_not_run(wrong)
    assert "forbidden" in wrong.err


def test_one_key_is_one_sale(sale: Sale) -> None:
    shown = tally(*sale.phone("--no-wait", "--json"))
    sold = sale.till("--code", shown.json["code"], "--key", f"{sale.shop}-table-4", "--json")
    first, second = tally(*sold), tally(*sold)
    assert (
        (first.code, first.json["state"]) == (second.code, second.json["state"]) == (0, "settled")
    )
    assert first.json["payment_id"] == second.json["payment_id"]
    assert sale.taken() == PRICE


def test_a_till_that_gets_no_answer_says_how_to_ask_again(sale: Sale) -> None:
    nowhere = ("--url", "http://127.0.0.1:1", "--key", "table-4")
    ran = tally(*sale.till("--code", "1")[:-2], *nowhere, TALLY_KEY="tk_none")
    assert_can_not_run(ran)
    assert "isn't known" in ran.err
    assert "--key table-4" in ran.err


def assert_can_not_run(ran: Ran) -> None:
    assert (ran.code, ran.out) == (2, "")
    assert ran.err
    assert "Traceback" not in ran.err
