"""Errors as RFC 9457 problem documents; which status a code has is decided here, nowhere else."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.responses import Response

from application.batch import BulkRefused
from domain.refusals import (
    REFUSED,
    AccountExists,
    AccountNotEmpty,
    IdempotencyKeyReused,
    Refusal,
    TooManyAttempts,
)

_REFUSALS: Final[tuple[type[Refusal], ...]] = (
    *REFUSED.values(),
    AccountExists,
    AccountNotEmpty,
    IdempotencyKeyReused,
    TooManyAttempts,
    BulkRefused,
)

MEDIA_TYPE: Final = "application/problem+json"
MAX_ERRORS: Final = 20
"""Of an invalid request's errors, so many are told: a large wrong body gets a small answer."""
MAX_NAME: Final = 100
"""Characters of a sent name that an answer repeats."""

STATUS: Final[dict[str, int]] = {
    "invalid_request": 400,
    "idempotency_key_missing": 400,
    "position_unknown": 400,
    "cursor_invalid": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "account_exists": 409,
    "account_not_empty": 409,
    "bulk_refused": 409,
    "gone": 410,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "idempotency_key_reused": 422,
    "request_canceled": 422,
    "request_paid": 422,
    "request_expired": 422,
    "revision_changed": 422,
    "amount_required": 422,
    "amount_fixed": 422,
    "payment_not_held": 422,
    "hold_expired": 422,
    "capture_exceeds_hold": 422,
    "payment_not_refundable": 422,
    "refund_exceeds_payment": 422,
    "payment_not_cancelable": 422,
    "payment_not_pending": 422,
    "pay_code_invalid": 422,
    "pay_code_exceeded": 422,
    "device_revoked": 422,
    "same_account": 422,
    "account_unknown": 422,
    "account_closed": 422,
    "account_frozen": 422,
    "currency_mismatch": 422,
    "condition_failed": 422,
    "nothing_available": 422,
    "insufficient_funds": 422,
    "max_balance_exceeded": 422,
    "balance_overflow": 422,
    "limit_exceeded": 422,
    "amount_not_representable": 422,
    "rate_limited": 429,
    "too_many_attempts": 429,
    "internal": 500,
    "carrier_unavailable": 501,
    "overloaded": 503,
    "not_caught_up": 503,
    "store_unavailable": 503,
    "storage_full": 503,
}

RETRY_AFTER_S: Final[dict[int, int]] = {429: 1, 503: 1}
"""Seconds after which to try again, by status: those answers carry `Retry-After`."""

DETAILS: Final[dict[str, str]] = {
    "invalid_request": "Correct what `errors` lists and send the request again.",
    "idempotency_key_missing": (
        "Send an Idempotency-Key header, one key per command: 1 to 255 visible ASCII characters."
    ),
    "position_unknown": "The store has not come to this position; use one that an answer gave.",
    "cursor_invalid": (
        "Use next_cursor as the list gave it, with the same filters; or start without a cursor."
    ),
    "unauthenticated": "Send `Authorization: Bearer tk_...` with a key that has not been revoked.",
    "forbidden": "This key's role may not do this; use a key of a role that may.",
    "not_found": "Nothing is here; check the path and the id.",
    "method_not_allowed": "This path has other methods; see the Allow header.",
    "gone": "It is over: used, paid, canceled or past its deadline; ask for another.",
    "body_too_large": "Send a smaller body.",
    "unsupported_media_type": "Send the body in the media type that the operation names.",
    "internal": (
        "Something failed here. What became of a command is unknown: send it again with the same "
        "key, and tell the operator the request_id if it stays."
    ),
    "amount_not_representable": (
        "A QR code has room for 13 characters of amount; show the request's `url` instead."
    ),
    "rate_limited": "Nothing was done; send it again after Retry-After seconds, and fewer of them.",
    "carrier_unavailable": "Sound is not installed here; use another carrier.",
    "overloaded": "Nothing was done; send the request again after Retry-After seconds.",
    "not_caught_up": (
        "The read model has not come to this position; ask again, or wait longer by "
        "`Prefer: wait=SECONDS`."
    ),
    "store_unavailable": (
        "The store does not answer. What became of a command is unknown: send it again with the "
        "same key."
    ),
    "storage_full": (
        "The store has no room left. What became of a command is unknown: send it again with the "
        "same key once the operator has made room."
    ),
    **{refusal.code: refusal.detail for refusal in _REFUSALS},
}
"""What to do next, by code."""


class Problem(Exception):
    """An answer that is an error. Its members name what it is about, never a value sent."""

    def __init__(
        self,
        code: str,
        detail: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.status = STATUS[code]
        self.detail = DETAILS[code] if detail is None else detail
        self.headers = dict(headers or {})
        self.members = members
        if self.status in RETRY_AFTER_S:
            self.headers.setdefault("Retry-After", str(RETRY_AFTER_S[self.status]))

    def document(self, request_id: str) -> dict[str, Any]:
        return {
            "type": f"urn:tallystick:problem:{self.code}",
            "title": self.code.replace("_", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
            **self.members,
        }

    def response(self, request_id: str) -> Response:
        return Response(
            # ASCII: the name of an unknown member may be text that UTF-8 doesn't know.
            json.dumps(self.document(request_id)).encode("ascii"),
            status_code=self.status,
            headers=self.headers,
            media_type=MEDIA_TYPE,
        )


def invalid(errors: Sequence[Mapping[str, str]], detail: str | None = None) -> Problem:
    """A request of the wrong shape; `errors` as `body_error` and `parameter_error` make them."""
    return Problem("invalid_request", detail, errors=list(errors[:MAX_ERRORS]))


def body_error(path: Sequence[str | int], code: str, detail: str) -> dict[str, str]:
    """An error at a member of the body; its pointer is RFC 6901's."""
    steps = (str(step)[:MAX_NAME].replace("~", "~0").replace("/", "~1") for step in path)
    return {"pointer": "".join("/" + step for step in steps), "code": code, "detail": detail}


def parameter_error(name: str, code: str, detail: str) -> dict[str, str]:
    """An error at a query parameter or header."""
    return {"parameter": name[:MAX_NAME], "code": code, "detail": detail}
