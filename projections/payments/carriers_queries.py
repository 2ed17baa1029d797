"""What was booked by carrier and currency in a period, at the watermark."""

from __future__ import annotations

from datetime import date
from typing import Any

from projections.reading import View

_REPORT = """
SELECT carrier, currency, sum(payments)::bigint AS payments, sum(amount) AS amount FROM (
    SELECT carrier, currency, payments, amount FROM tally_read.payments_carriers{g}
    WHERE booking_date >= %(first)s AND booking_date < %(end)s
    UNION ALL
    SELECT carrier, currency, -payments, -amount FROM tally_read.payments_carriers_ahead{g}
    WHERE position > %(at)s AND booking_date >= %(first)s AND booking_date < %(end)s
) booked
GROUP BY carrier, currency HAVING sum(amount) > 0
ORDER BY carrier COLLATE "C", currency COLLATE "C"
"""


async def carriers(view: View, first: date, end: date) -> list[dict[str, Any]]:
    """Each carrier and currency with something booked from `first` on, before `end`."""
    rows = await view.rows(_REPORT, {"first": first, "end": end, "at": view.position})
    return [{**row, "amount": int(row["amount"])} for row in rows]
