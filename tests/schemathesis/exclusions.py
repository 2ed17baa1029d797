"""What the API may refuse although its schema allows it, each with its reason.

Schemathesis counts a 4xx to data that the schema allows as a failure; a ledger refuses by what it
knows, which no schema can say. Nothing else is left out of any check.
"""

REFUSALS = {
    "account_exists": "an id may be taken",
    "account_not_empty": "an account with money on it is not closed",
    "account_closed": "nothing but close works on a closed account",
    "account_frozen": "a frozen account takes no part in payments",
    "account_unknown": "a posting may name an account that nobody opened",
    "body_too_large": "a picture may have too many pixels, a recording too many seconds",
    "amount_fixed": "a payment request may have another amount",
    "amount_not_representable": "a QR code has room for 13 characters of amount",
    "amount_required": "a payment request may leave the amount to the payer",
    "bulk_refused": "a line may be refused, and no schema says what a line is",
    "condition_failed": "an account may be another than the condition says",
    "currency_mismatch": "an account holds one currency",
    "cursor_invalid": "a cursor is text that only the API makes",
    "forbidden": "a client opens accounts without an overdraft alone",
    "gone": "what a URL leads to may be over",
    "idempotency_key_missing": "only a dry run needs none, which a schema can't say",
    "insufficient_funds": "an account may have less than a posting takes",
    "limit_exceeded": "a velocity limit may be used up",
    "not_found": "an id may be nobody's",
    "nothing_available": "an account may have nothing that all of it could be",
    "position_unknown": "a position may lie beyond the end of the store",
    "request_canceled": "a payment request may have been taken back",
    "request_expired": "its deadline may have passed",
    "request_paid": "it may have been paid",
    "revision_changed": "it may be of another revision",
    "same_account": "a schema can't compare two members",
}

INVALID = {
    "/execute_at": "it is in the future, at most 366 days, and not for holds",
    "/hold_timeout_s": "it is for holds alone; 10.0 as for amounts",
    "/limits": "a window and carrier have one limit at most",
    "": "a picture, a recording or a message may have nothing to read",
    "/text": "no schema says what a QR code may say",
    "/value_date": "a value date is at most 366 days from today",
    "/postings/*/amount": "to JSON Schema 10.0 is an integer, to the ledger it is not",
    "/postings/*/amount/up_to": "likewise",
    "/conditions/*/amount": "likewise",
    "/conditions/*/version": "likewise",
    "/limits/*/max_count": "likewise",
    "/limits/*/max_amount": "likewise",
    "/amount": "likewise",
    "/expires_in_s": "likewise",
    "/revision": "likewise",
    "/overdraft_limit": "likewise",
    "/max_balance": "likewise",
    "as_of": "as_of and as_of_position exclude each other; a time may be to come",
    "from": "a period does not end before it begins",
}
"""Members (`*` is any number) and parameters that may be invalid though the schema has them."""
