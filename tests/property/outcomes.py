"""`("ok", detail)` or `("refused", code)`; some codes come with more, in a tuple after them."""

UNDECIDED = {
    "account_exists",
    "account_not_empty",
    "bulk_refused",
    "idempotency_key_reused",
    "invalid_request",
    "not_found",
    "nothing_due",
}
"""Refusals that are not kept: the key may be used again."""

OF_REQUESTS_AND_CODES = {
    "request_canceled",
    "request_paid",
    "request_expired",
    "revision_changed",
    "amount_required",
    "amount_fixed",
    "pay_code_invalid",
    "pay_code_exceeded",
    "payment_not_pending",
}
"""Refusals that only payment requests and pay codes meet."""

ELSEWHERE = {"balance_overflow", "device_revoked"}
"""Refusals that are met in tests of their own."""


class Refusal(Exception):
    pass


def refuse_if(broken, code):
    if broken:
        raise Refusal(code)


def code_of(outcome):
    detail = outcome[1]
    return detail[0] if outcome[0] == "refused" and isinstance(detail, tuple) else detail
