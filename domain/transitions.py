"""What may become of a payment: the one table of its states, which docs draw and tests walk."""

from typing import Final, Literal

from domain.refusals import (
    PaymentNotCancelable,
    PaymentNotHeld,
    PaymentNotPending,
    PaymentNotRefundable,
    Refused,
)

State = Literal[
    "held",
    "settled",
    "voided",
    "expired",
    "scheduled",
    "canceled",
    "refused",
    "pending_confirmation",
    "declined",
]
Step = Literal[
    "settle",
    "hold",
    "schedule",
    "capture",
    "void",
    "expire",
    "execute",
    "cancel",
    "refund",
    "confirm",
    "decline",
]

TRANSITIONS: Final[dict[tuple[State | None, Step], frozenset[State]]] = {
    (None, "settle"): frozenset({"settled", "refused", "pending_confirmation"}),
    (None, "hold"): frozenset({"held", "refused"}),
    (None, "schedule"): frozenset({"scheduled", "refused"}),
    ("held", "capture"): frozenset({"held", "settled"}),
    ("held", "void"): frozenset({"voided", "settled"}),
    ("held", "expire"): frozenset({"expired", "settled"}),
    ("scheduled", "execute"): frozenset({"settled", "refused"}),
    ("scheduled", "cancel"): frozenset({"canceled"}),
    ("pending_confirmation", "confirm"): frozenset({"settled"}),
    ("pending_confirmation", "decline"): frozenset({"declined"}),
    ("pending_confirmation", "cancel"): frozenset({"canceled"}),
    ("pending_confirmation", "expire"): frozenset({"expired"}),
    ("settled", "refund"): frozenset({"settled"}),
}
"""By state and step: the states that the payment may be in after it. None: there is none yet.

A hold that was captured in part and then voided or left to expire is settled: with what was
captured. A step that has no line here is refused.
"""

REFUSALS: Final[dict[Step, type[Refused]]] = {
    "capture": PaymentNotHeld,
    "void": PaymentNotHeld,
    "cancel": PaymentNotCancelable,
    "refund": PaymentNotRefundable,
    "confirm": PaymentNotPending,
    "decline": PaymentNotPending,
}
"""What a client is told where its step isn't in the table; `hold_expired` where a hold's deadline
has passed, `payment_not_pending` for a cancel of what was to be confirmed. The ledger's own steps,
`expire` and `execute`, do nothing then."""
