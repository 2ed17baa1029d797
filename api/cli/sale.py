"""What a payer's phone and a shop's till have in common: digits for people, and how a sale ends."""

import json
import re
import secrets
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from api.cli.client import Client, Reply
from api.cli.output import CannotRun
from domain.money import decimal_text, is_currency

PENDING: Final = "pending_confirmation"
LOOK_S: Final = 0.3
"""From one look at a code or a payment to the next."""
_PATIENCE_S: Final = 10
"""After a deadline, with a product that does not answer."""

Currency = Annotated[str, typer.Option(help="ISO 4217.")]

_BLANKS: Final = re.compile(r"[\s-]")


class Refused(Exception):
    """The product's answer is no."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(f"{problem['code']}: {problem['detail']}")
        self.code: str = problem["code"]
        self.payment_id: str | None = problem.get("payment_id")
        self.position: int | None = problem.get("position")


def grouped(code: str) -> str:
    """A code's digits in fours, to be read aloud."""
    return " ".join(code[at : at + 4] for at in range(0, len(code), 4))


def ungrouped(text: str) -> str:
    """What was typed, without spaces and hyphens."""
    return _BLANKS.sub("", text)


def money(amount_minor: int, currency: str) -> str:
    return f"{decimal_text(amount_minor, currency)} {currency}"


def clock_time(at: str) -> str:
    """Of a time in an answer: where we are, to the second."""
    return f"{datetime.fromisoformat(at).astimezone():%H:%M:%S}"


def seconds_to(at: str) -> float:
    """Until a time in an answer; below zero after it."""
    return (datetime.fromisoformat(at) - datetime.now(UTC)).total_seconds()


def check_currency(currency: str) -> None:
    """Raises CannotRun."""
    if not is_currency(currency):
        raise CannotRun("--currency is no ISO 4217 code with a minor unit, such as EUR")


def new_key() -> str:
    return f"tally-{secrets.token_hex(16)}"


async def command(
    client: Client, path: str, *, key: str | None = None, **members: Any
) -> dict[str, Any]:
    """Sends a command, by a new key unless one is given. Raises Refused, Undecided, CannotRun.

    Members that are None are left out.
    """
    body = {name: value for name, value in members.items() if value is not None}
    return told(await client.send(path, key or new_key(), json.dumps(body).encode()))


def told(reply: Reply) -> dict[str, Any]:
    """What it says. Raises Refused where that is no, CannotRun where it was never decided."""
    try:
        said: dict[str, Any] = json.loads(reply.body)
    except ValueError:
        raise CannotRun(f"the product answers {reply.status} and no JSON") from None
    if reply.ok:
        return said
    if reply.status == 422:
        raise Refused(said)
    wrong = "".join(f" {each['pointer']}: {each['detail']}" for each in said.get("errors", ()))
    raise CannotRun(f"the product answers {reply.status} {reply.code}: {said.get('detail')}{wrong}")


async def look_again(client: Client, path: str, seen: dict[str, Any], until: str) -> dict[str, Any]:
    """A code or payment as it is now; that it expired by its deadline is sure.

    As it was `seen` where the product is away for a moment. Raises CannotRun where it is still
    away some time after the deadline.
    """
    try:
        found: dict[str, Any] = await client.get(path)
        if found["state"] == "expired":
            # Up to where that read knew. What came last may have come just before the deadline.
            end = (await client.get("/v1/status"))["end"]
            found = await client.get(f"{path}?min_position={end}")
    except CannotRun:
        if seconds_to(until) < -_PATIENCE_S:
            raise
        return seen
    return found


async def conclude(client: Client, payment: dict[str, Any], verb: str) -> dict[str, Any]:
    """Confirms, declines or cancels. The payment after it, or after what came before that.

    Raises Refused where it goes on waiting.
    """
    path = f"/v1/payments/{payment['id']}"
    try:
        return await command(client, f"{path}/{verb}")
    except Refused as refused:
        if refused.code != "payment_not_pending":
            raise
        position = refused.position
    found: dict[str, Any] = await client.get(f"{path}?min_position={position}")
    return found
