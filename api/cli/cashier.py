"""`tally cashier`: a shop's till in the terminal."""

import asyncio
import json
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer
import uvloop
from rich.console import Console

from api.cli.carrier_files import KINDS, Barcode, Ndef, Png, Wav
from api.cli.client import Client, Undecided, connected
from api.cli.output import AsJson, CannotRun, answer_is_no, err, out, print_json, say
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
    look_again,
    money,
    new_key,
    told,
    ungrouped,
)
from api.models import Carrier
from domain.code_digits import CODE_LENGTH, is_code

_STOPS: Final = (signal.SIGINT, signal.SIGTERM)
_INTERRUPTED: Final = "interrupted; nothing was paid"


def cashier(
    account: Annotated[str, typer.Option(help="The shop's: it is credited.")],
    amount: Annotated[int, typer.Option(min=1, help="Minor units: 1050 is 10.50 EUR.")],
    currency: Currency = "EUR",
    code: Annotated[
        str | None, typer.Option(help="The payer's digits; asked for without it and a file.")
    ] = None,
    png: Png = None,
    barcode: Barcode = None,
    ndef: Ndef = None,
    wav: Wav = None,
    carrier: Annotated[
        Carrier | None, typer.Option(help="How the code came.  [default: as the file says, or api]")
    ] = None,
    reference: Annotated[str | None, typer.Option(help="Of the payment.")] = None,
    key: Annotated[
        str | None, typer.Option(help="Idempotency key: with the same one the sale is one.")
    ] = None,
    data: DataOption = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Takes a payment by a payer's code and tells what became of it; 1 where nothing was paid.

    Where the payer has to confirm it waits; Ctrl-C takes the payment back.
    """
    check_currency(currency)
    files = {"png": png, "barcode": barcode, "ndef": ndef, "wav": wav}
    given = [(KINDS[option], file) for option, file in files.items() if file is not None]
    if len(given) + (code is not None) > 1:
        raise CannotRun("one sale, one code: give --code or one file")
    product = find_product(data, url)
    try:
        if given:
            ((kind, file),) = given
            shown = _Shown(kind.carrier, kind.media_type, _content(file))
        else:
            digits = _typed(money(amount, currency)) if code is None else ungrouped(code)
            shown = _Shown("api", "", digits)
        payment = {
            "carrier": carrier or shown.carrier,
            "reference": reference,
            "postings": [{"credit": account, "amount": amount, "currency": currency}],
        }
        till = _Till(err if as_json else out, money(amount, currency), key or new_key())
        sale = uvloop.run(till.sell(product, shown, payment))
    except KeyboardInterrupt:
        raise CannotRun(_INTERRUPTED) from None
    if as_json:
        print_json(sale)
    if sale["state"] != "settled":
        raise answer_is_no()


class _Shown(NamedTuple):
    """What the payer showed."""

    carrier: str
    media_type: str
    content: str | bytes
    """The digits themselves, or a file that has them."""


class _Till:
    """What the cashier sees goes to stdout, or with --json to stderr."""

    def __init__(self, console: Console, asked: str, key: str) -> None:
        self._console = console
        self._asked = asked
        self._key = key

    async def sell(
        self, product: Product, shown: _Shown, payment: dict[str, Any]
    ) -> dict[str, Any]:
        """What became of it."""
        stopped = asyncio.Event()
        for stop in _STOPS:
            asyncio.get_running_loop().add_signal_handler(stop, stopped.set)
        try:
            async with connected(product) as client:
                code = await _digits(client, shown)
                if stopped.is_set():
                    raise CannotRun(_INTERRUPTED)
                made = await self._pay(client, pay_code=code, **payment)
                if made["state"] == PENDING:
                    made = await self._awaited(client, made, stopped)
        except Refused as refused:
            self._say(f"Refused: {refused}")
            return _sale("refused", refused.payment_id, payment["carrier"], refused.code)
        state = made["state"]
        self._say(f"{'Paid' if state == 'settled' else state.capitalize()}: {self._asked}.")
        return _sale(state, made["id"], payment["carrier"])

    async def _pay(self, client: Client, **payment: Any) -> dict[str, Any]:
        try:
            return await command(client, "/v1/payments", key=self._key, **payment)
        except Undecided as error:
            raise CannotRun(
                f"{error}; whether it was paid isn't known: the same once more, with the payer's"
                f" digits and --key {self._key}, tells, and pays once"
            ) from error

    async def _awaited(
        self, client: Client, payment: dict[str, Any], stopped: asyncio.Event
    ) -> dict[str, Any]:
        """The payment when it waits no more, for whichever reason."""
        path, until = f"/v1/payments/{payment['id']}", payment["confirm_expires_at"]
        self._say(f"The payer has to confirm, until {clock_time(until)}. Ctrl-C takes it back.")
        while payment["state"] == PENDING:
            with suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), LOOK_S)
                return await conclude(client, payment, "cancel")
            payment = await look_again(client, path, payment, until)
        return payment

    def _say(self, message: str) -> None:
        self._console.print(message, markup=False, soft_wrap=True)


async def _digits(client: Client, shown: _Shown) -> str:
    """Raises Refused where the file has no code, or more than one."""
    if isinstance(shown.content, str):
        return shown.content
    reply = await client.send(
        "/v1/pay-codes/decode", None, shown.content, media_type=shown.media_type
    )
    if reply.status == 400:
        raise Refused(json.loads(reply.body)["errors"][0])
    return str(told(reply)["code"])


def _sale(
    state: str, payment_id: str | None, carrier: str, refusal: str | None = None
) -> dict[str, Any]:
    return {"state": state, "refusal": refusal, "payment_id": payment_id, "carrier": carrier}


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CannotRun(f"{file} can't be read: {error.strerror or error}") from error


def _typed(asked: str) -> str:
    """What the cashier types; what can't be a code is asked for again."""
    while True:
        err.print(f"The payer's code, for {asked}: ", end="")
        line = sys.stdin.readline()
        if not line:
            raise CannotRun("no code was given: type it, or give --code or a file")
        if is_code(digits := ungrouped(line)):
            return digits
        say(f"That is no code: it has {CODE_LENGTH} digits, and the last one checks the others.")
