"""Velocity limits as the model has them: summed anew from its payments, at any time."""

from datetime import UTC, datetime, timedelta

HELD = ("held", "pending_confirmation")
"""States of a payment whose money is held, until its deadline."""
ROLLING = {"hour": timedelta(hours=1), "day": timedelta(days=1)}


def fits(limit, payments, name, at, amount):
    """Whether the account may be debited once more then, by so much, beside those payments."""
    (window, carrier, most, most_amount), since = limit["limit"], limit["since"]
    count = total = 0
    for payment in payments:
        counted = counts_for(payment, name, at)
        if not counted or payment["began"] <= since:
            continue
        if carrier not in (None, payment["terms"].get("carrier", "api")):
            continue
        if leaves_at(window, payment["at"]) > at:
            count, total = count + 1, total + counted
    return (most is None or count < most) and (most_amount is None or total + amount <= most_amount)


def counts_for(payment, name, at):
    """What it has debited, and what is held then, of that account."""
    if "at" not in payment or payment["state"] in ("refused", "scheduled"):
        return 0
    held = payment["state"] in HELD and at < payment["expires_at"]
    return sum(
        posting[2] if held else captured
        for posting, captured in zip(payment["postings"], payment["captured"], strict=True)
        if posting[0] == name
    )


def leaves_at(window, at):
    if window == "month":
        return datetime(at.year + at.month // 12, at.month % 12 + 1, 1, tzinfo=UTC)
    return at + ROLLING[window]


def frees_at(limit, payments, name, now, amount):
    """The first moment after now at which something goes and it fits; None where it never does."""
    moments = set()
    for payment in payments:
        if "at" in payment:
            moments |= {leaves_at(limit["limit"][0], payment["at"]), payment["expires_at"]}
    for at in sorted(moment for moment in moments if moment and moment > now):
        if fits(limit, payments, name, at, amount):
            return at
    return None
