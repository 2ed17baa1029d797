"""Every read model there is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from projections.accounts import fold as accounts
from projections.accounts.before import keep_before as keep_accounts_before
from projections.accounts.write import apply as apply_accounts
from projections.balances import fold as balances
from projections.balances.write import apply as apply_balances
from projections.payments import fold as payments
from projections.payments.before import keep_before as keep_payments_before
from projections.payments.write import apply as apply_payments
from projections.statements import fold as statements
from projections.statements.write import apply as apply_statements
from projections.tables import Projection

_HERE: Final = Path(__file__).parent

PROJECTIONS: Final[dict[str, Projection]] = {
    projection.name: projection
    for projection in (
        Projection(
            name="accounts",
            folder=_HERE / "accounts",
            tables=("accounts", "accounts_before"),
            apply=apply_accounts,
            leaves_out=accounts.LEFT_OUT,
            before=keep_accounts_before,
            summary="SELECT count(*) FROM tally_read.accounts{g}"
            " WHERE opened_position <= %(position)s",
        ),
        Projection(
            name="balances",
            folder=_HERE / "balances",
            tables=(
                "balances",
                "balances_history",
                "balances_holds",
                "balances_holds_history",
            ),
            apply=apply_balances,
            leaves_out=balances.LEFT_OUT,
            summary="SELECT b.*, h.* FROM ("
            "SELECT count(*), sum(posted), sum(pending_debit), sum(pending_credit),"
            " sum(available), sum(version), sum(extract(epoch FROM balanced_at))"
            " FROM tally_read.balances_history{g} WHERE position <= %(position)s) b, ("
            'SELECT count(*), sum(captured), sum("left"), sum(opened_position)'
            " FROM tally_read.balances_holds_history{g} WHERE position <= %(position)s) h",
        ),
        Projection(
            name="statements",
            folder=_HERE / "statements",
            tables=(
                "statements",
                "statements_accounts",
                "statements_days",
                "statements_off_days",
            ),
            apply=apply_statements,
            leaves_out=statements.LEFT_OUT,
            summary="SELECT count(*), sum(amount), sum(balance), sum(debits), sum(credits)"
            " FROM tally_read.statements{g} WHERE position <= %(position)s",
        ),
        Projection(
            name="payments",
            folder=_HERE / "payments",
            tables=(
                "payments",
                "payments_accounts",
                "payments_before",
                "payments_requests",
                "payments_requests_before",
                "payments_pay_codes",
                "payments_devices",
                "payments_devices_history",
                "payments_carriers",
                "payments_carriers_ahead",
            ),
            apply=apply_payments,
            leaves_out=payments.LEFT_OUT,
            before=keep_payments_before,
            # Of what no later event changes: the two may stand beyond the position apart.
            summary="SELECT p.*, r.*, c.*, d.* FROM ("
            "SELECT count(*), sum(created_position), count(expires_at), count(execute_at),"
            " count(refund_of), count(payment_request) FROM tally_read.payments{g}"
            " WHERE created_position <= %(position)s) p, ("
            "SELECT count(*), sum(created_position), count(reference)"
            " FROM tally_read.payments_requests{g} WHERE created_position <= %(position)s) r, ("
            "SELECT count(*), sum(max_amount), sum(issued_position)"
            " FROM tally_read.payments_pay_codes{g} WHERE issued_position <= %(position)s) c, ("
            "SELECT count(*), sum(offline_spent), sum(position)"
            " FROM tally_read.payments_devices_history{g} WHERE position <= %(position)s) d",
        ),
    )
}
