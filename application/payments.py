"""How payments are decided."""

from application.batch import Draft
from application.commands import MakePayment
from domain.payment import settle


def make_payment(command: MakePayment, draft: Draft) -> None:
    accounts = {
        name: account
        for name in command.account_ids()
        if (account := draft.account(name)) is not None
    }
    draft.events += settle(
        command.order,
        accounts,
        payment=command.id,
        fingerprint=command.fingerprint,
        actor=command.actor,
        now=draft.now,
    )
