"""`tally paycode`: a payer's phone in the terminal."""

import asyncio
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop

from api.cli.answering import TypedLines
from api.cli.carrier_files import Barcode, Ndef, Png, Wav, write_carriers
from api.cli.client import Client, connected
from api.cli.offline_code import made_offline
from api.cli.output import AsJson, CannotRun, answer_is_no, err, out, print_json
from api.cli.product import DataOption, Product, Url, find_product
from api.cli.sale import (
    LOOK_S,
    PENDING,
    Currency,
    Refused,
    check_currency,
    clock_time,
    command,
    conclude,
    grouped,
    look_again,
    money,
    seconds_to,
)
from infrastructure.carriers.pictures import qr_for_terminals
from infrastructure.settings import Settings


class Answer(StrEnum):
    CONFIRM = "confirm"
    DECLINE = "decline"


_TYPED = {"y": Answer.CONFIRM, "yes": Answer.CONFIRM, "n": Answer.DECLINE, "no": Answer.DECLINE}


def paycode(
    account: Annotated[str | None, typer.Option(help="The payer's: it is debited.")] = None,
    max_amount: Annotated[
        int | None, typer.Option(min=1, help="Minor units: 1050 is 10.50 EUR.")
    ] = None,
    currency: Currency = "EUR",
    confirm_above: Annotated[
        int | None, typer.Option(min=0, help="More waits for the payer; left out, nothing does.")
    ] = None,
    expires_in: Annotated[int, typer.Option(min=10, max=300, help="Seconds.")] = 60,
    answer: Annotated[
        Answer | None, typer.Option(help="What the payer says where one waits; else it is asked.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="For what becomes of it.")] = True,
    png: Png = None,
    barcode: Barcode = None,
    ndef: Ndef = None,
    wav: Wav = None,
    offline: Annotated[
        str | None,
        typer.Option(metavar="HANDLE", help="Makes a device's code, without any network."),
    ] = None,
    secret: Annotated[
        str | None,
        typer.Option(metavar="BASE32", help="The device's; left out, it is asked for."),
    ] = None,
    data: DataOption = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Shows a one-time code that a cashier may be paid by, and tells what became of it; 1 where
    nothing was paid.
    """
    files = {"png": png, "barcode": barcode, "ndef": ndef, "wav": wav}
    phone = _Phone(files, as_json)
    if (offline is None) == (account is None) or (account is None) != (max_amount is None):
        raise CannotRun("give --account and --max-amount, or --offline with a device's handle")
    if offline is not None:
        prefix = Settings.load(data=data).device_prefix
        made = made_offline(prefix, offline, secret, datetime.now(UTC))
        phone.show(made.code, made.expires_at)
        if as_json:
            print_json({**made._asdict(), "handle": offline})
        return
    check_currency(currency)
    asked = {
        "debit_account": account,
        "currency": currency,
        "max_amount": max_amount,
        "confirm_above": confirm_above,
        "expires_in_s": expires_in,
    }
    try:
        shown = uvloop.run(phone.pay(find_product(data, url), asked, answer, wait=wait))
    except KeyboardInterrupt:
        raise CannotRun(
            "interrupted; the code may still be used until it is over; nothing is confirmed"
        ) from None
    except Refused as refused:
        phone.say(f"Refused: {refused}")
        shown = {"state": "refused", "refusal": refused.code, "code": None, "payment": None}
    if as_json:
        print_json(shown)
    paid = shown["payment"] is not None and shown["payment"]["state"] == "settled"
    if not paid and (wait or shown["state"] != "live"):
        raise answer_is_no()


class _Phone:
    """What the payer sees goes to stdout, or with --json to stderr."""

    def __init__(self, files: dict[str, Path | None], as_json: bool) -> None:
        self._files = files
        self._console = err if as_json else out

    def say(self, message: str) -> None:
        self._console.print(message, markup=False, soft_wrap=True)

    def show(self, code: str, expires_at: str) -> None:
        """Raises CannotRun where a file can't be written."""
        write_carriers(code, self._files)
        self.say(qr_for_terminals(code))
        self.say(
            f"{grouped(code)}\n"
            f"good until {clock_time(expires_at)}, {seconds_to(expires_at):.0f} seconds"
        )

    async def pay(
        self, product: Product, asked: dict[str, Any], answer: Answer | None, *, wait: bool
    ) -> dict[str, Any]:
        """The code, and its payment where there is one. Raises Refused where there is no code."""
        async with connected(product) as client:
            code = await command(client, "/v1/pay-codes", **asked)
            self.show(code["code"], code["expires_at"])
            payment = None
            if wait:
                path, until = f"/v1/pay-codes/{code['id']}", code["expires_at"]
                while code["state"] == "live":
                    await asyncio.sleep(LOOK_S)
                    code |= await look_again(client, path, code, until)
                payment = await self._payment(client, code, answer)
            return {**code, "payment": payment}

    async def _payment(
        self, client: Client, code: dict[str, Any], answer: Answer | None
    ) -> dict[str, Any] | None:
        if code["payment_id"] is None:
            self.say("The code's time is over; nobody used it.")
            return None
        payment: dict[str, Any] = await client.get(f"/v1/payments/{code['payment_id']}")
        posting = payment["postings"][0]
        to = f"{money(posting['amount'], posting['currency'])} to {posting['credit']}"
        if payment["state"] == PENDING:
            payment = await self._answered(client, payment, to, answer)
        word = {"settled": "Paid"}.get(payment["state"], payment["state"].capitalize())
        self.say(f"{word}: {to}.")
        return payment

    async def _answered(
        self, client: Client, payment: dict[str, Any], to: str, answer: Answer | None
    ) -> dict[str, Any]:
        """The payment when it waits no more, for whichever reason."""
        path, until = f"/v1/payments/{payment['id']}", payment["confirm_expires_at"]
        lines = None
        if answer is None:
            self.say(f"Pay {to}? yes or no, until {clock_time(until)}")
            lines = TypedLines()
        while payment["state"] == PENDING:
            await asyncio.sleep(LOOK_S)
            said = answer
            if lines and (line := lines.next()) is not None:
                said = _TYPED.get(line)
                if said is None:
                    self.say("yes or no?")
            if said:
                try:
                    return await conclude(client, payment, said)
                except Refused as refused:
                    self.say(f"Refused: {refused}")
                    answer = None
            payment = await look_again(client, path, payment, until)
        return payment
