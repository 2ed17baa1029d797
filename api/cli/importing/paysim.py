"""PaySim: the CSV of a mobile-money simulation (Lopez-Rojas et al., 2016), as payments.

Every `nameOrig` opens with what `oldbalanceOrg` says, out of `clearing:opening`. Balances after
a row are the simulator's own and are not read: the ledger decides for itself.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from api.cli.importing.rows import (
    Account,
    Payment,
    Row,
    account_id,
    amount,
    content_hash,
    limit,
    read_rows,
)

_READ: Final = ("type", "amount", "nameOrig", "oldbalanceOrg", "nameDest")
_OPENING: Final = "clearing:opening"
_CASH: Final = "clearing:cash"
_BANK: Final = "clearing:bank"


def paysim_rows(file: Path, currency: str) -> Iterator[Row]:
    """The rows of a PaySim file, their amounts in `currency`. Raises Malformed and OSError."""
    return read_rows(file, partial(_row, currency), _check_header)


def _check_header(columns: list[str]) -> None:
    missing = [name for name in _READ if name not in columns]
    if missing:
        raise ValueError(f"this is no PaySim file: it has no column {', '.join(missing)}")


def _row(currency: str, cells: dict[str, str], line: int, number: int) -> Row:
    customer = account_id(f"customers:{cells['nameOrig']}", "nameOrig")
    kind = cells["type"]
    match kind:
        case "CASH_IN":
            debit, credit = _CASH, customer
        case "CASH_OUT":
            debit, credit = customer, _CASH
        case "DEBIT":
            debit, credit = customer, _BANK
        case "PAYMENT":
            debit, credit = customer, account_id(f"merchants:{cells['nameDest']}", "nameDest")
        case "TRANSFER":
            debit, credit = customer, account_id(f"customers:{cells['nameDest']}", "nameDest")
        case _:
            raise ValueError("type is none of CASH_IN, CASH_OUT, DEBIT, PAYMENT, TRANSFER")
    key = f"paysim-{number}-{content_hash(currency, *cells.values())}"
    opening = limit(cells["oldbalanceOrg"], currency, "oldbalanceOrg")
    steps: list[Account | Payment] = [_account(customer, currency)]
    if opening:
        steps.append(_account(_OPENING, currency))
        steps.append(
            Payment(
                key=f"{key}-opening",
                debit=_OPENING,
                credit=customer,
                amount_minor=opening,
                currency=currency,
                reference=f"OPENING-{number}",
                counted=False,
            )
        )
    steps.append(_account(credit if debit == customer else debit, currency))
    steps.append(
        Payment(
            key=key,
            debit=debit,
            credit=credit,
            amount_minor=amount(cells["amount"], currency, "amount"),
            currency=currency,
            reference=f"{kind}-{number}",
        )
    )
    return Row(line=line, steps=tuple(steps))


def _account(name: str, currency: str) -> Account:
    if name.startswith("clearing:"):
        return Account(id=name, currency=currency, normal_side="debit", overdraft_limit=None)
    return Account(id=name, currency=currency)
