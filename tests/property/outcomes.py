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


class Refusal(Exception):
    pass


def refuse_if(broken, code):
    if broken:
        raise Refusal(code)


def code_of(outcome):
    detail = outcome[1]
    return detail[0] if outcome[0] == "refused" and isinstance(detail, tuple) else detail
