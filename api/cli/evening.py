"""An evening in the small town: its people pay by phone."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from api.cli.client import Client
from api.cli.importing.sending import Outcome
from api.cli.sale import PENDING, Refused, command
from api.cli.town import CURRENCY, Purchase

_CONFIRM_ABOVE: Final = 2_000


async def pay_by_phone(client: Client, purchases: Iterable[Purchase]) -> Outcome:
    """Everybody buys one thing after the other, all at the same time."""
    outcome = Outcome()
    phones: defaultdict[str, list[Purchase]] = defaultdict(list)
    for purchase in purchases:
        phones[purchase.payer].append(purchase)
    await asyncio.gather(*(_shop(client, phone, outcome) for phone in phones.values()))
    return outcome


async def _shop(client: Client, purchases: list[Purchase], outcome: Outcome) -> None:
    for purchase in purchases:
        try:
            await (_show_code if purchase.shows_code else _scan_order)(client, purchase)
            outcome.settled += 1
        except Refused as refused:
            outcome.refused[refused.code] += 1
        outcome.rows += 1


async def _show_code(client: Client, purchase: Purchase) -> None:
    """What is large waits for the payer, who confirms it. Raises Refused."""
    code = await command(
        client,
        "/v1/pay-codes",
        debit_account=purchase.payer,
        currency=CURRENCY,
        max_amount=purchase.amount_minor,
        confirm_above=_CONFIRM_ABOVE,
    )
    posting = {"credit": purchase.shop, "amount": purchase.amount_minor, "currency": CURRENCY}
    payment = await command(
        client,
        "/v1/payments",
        pay_code=code["code"],
        carrier=purchase.carrier,
        reference=purchase.reference,
        postings=[posting],
    )
    if payment["state"] == PENDING:
        await command(client, f"/v1/payments/{payment['id']}/confirm")


async def _scan_order(client: Client, purchase: Purchase) -> None:
    """Raises Refused."""
    order = await command(
        client,
        "/v1/payment-requests",
        credit_account=purchase.shop,
        amount=purchase.amount_minor,
        currency=CURRENCY,
        reference=purchase.reference,
    )
    await command(
        client,
        f"/v1/payment-requests/{order['id']}/pay",
        debit_account=purchase.payer,
        revision=order["revision"],
        carrier=purchase.carrier,
    )
