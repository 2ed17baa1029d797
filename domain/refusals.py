"""Everything the ledger can refuse: one class a rule, each with its stable code.

    Refusal
    ├── Undecided          nothing is recorded, the key is not used up
    │   ├── NotFound, AccountExists, AccountNotEmpty
    │   ├── IdempotencyKeyReused
    │   ├── ValueDateOutOfRange, ExecuteAtOutOfRange, AmountOfSeveralPostings
    │   └── NothingDue, TooManyAttempts
    └── Refused            recorded as an event; the same key gets the same refusal for ever
        ├── RequestCanceled, RequestPaid, RequestExpired, RevisionChanged
        ├── AmountRequired, AmountFixed
        ├── PayCodeInvalid, PayCodeExceeded, DeviceRevoked
        ├── PaymentNotHeld, HoldExpired, CaptureExceedsHold
        ├── PaymentNotRefundable, RefundExceedsPayment, PaymentNotCancelable, PaymentNotPending
        ├── SameAccount, AccountUnknown, AccountClosed, AccountFrozen, CurrencyMismatch
        ├── ConditionFailed
        ├── NothingAvailable, InsufficientFunds, MaxBalanceExceeded, BalanceOverflow
        └── LimitExceeded

What HTTP status a code has is decided in api/problems.py alone.
"""

from typing import Any, ClassVar, Final


class Refusal(Exception):
    """A command that is not carried out. `members` name what it is about, never a value sent."""

    code: ClassVar[str]
    detail: ClassVar[str]

    def __init__(self, **members: Any) -> None:
        super().__init__(self.code)
        self.members = members

    @property
    def told(self) -> dict[str, Any]:
        """As it is recorded: `code`, and what it is about."""
        return {"code": self.code, **self.members}


class Undecided(Refusal):
    """A refusal that leaves no trace: the command may be sent again under the same key."""


class Refused(Refusal):
    """A decision: recorded, and repeated to whoever sends the same command again."""


class NotFound(Undecided):
    code = "not_found"
    detail = "Nothing has this id; check it, or open it first."


class AccountExists(Undecided):
    code = "account_exists"
    detail = "This account id is taken; choose another, or leave it out to have one made."


class AccountNotEmpty(Undecided):
    code = "account_not_empty"
    detail = "Only an account with a balance of zero and no holds can be closed; empty it first."


class IdempotencyKeyReused(Undecided):
    code = "idempotency_key_reused"
    detail = "This key was used for another request; send a new key with a new request."


class ValueDateOutOfRange(Undecided):
    code = "invalid_request"
    detail = "value_date may be at most 366 days from today (UTC)."


class ExecuteAtOutOfRange(Undecided):
    code = "invalid_request"
    detail = "execute_at must be in the future, at most 366 days ahead."


class AmountOfSeveralPostings(Undecided):
    code = "invalid_request"
    detail = "amount is for payments of one posting only; leave it out to mean all that is left."


class NothingDue(Undecided):
    """Never leaves the ledger: what was to be recorded at its time has been decided otherwise."""

    code = "nothing_due"
    detail = "The payment is not waiting for this time any more."


class RequestCanceled(Refused):
    code = "request_canceled"
    detail = "The payment request was taken back; ask the payee for another."


class RequestPaid(Refused):
    code = "request_paid"
    detail = "The payment request has been paid; see its payment_id."


class RequestExpired(Refused):
    code = "request_expired"
    detail = "The payment request's deadline has passed; ask the payee for another."


class RevisionChanged(Refused):
    code = "revision_changed"
    detail = "The payment request is of another revision now; read it, and show it to the payer."


class AmountRequired(Refused):
    code = "amount_required"
    detail = "The payment request leaves the amount to the payer; send one, with a new key."


class AmountFixed(Refused):
    code = "amount_fixed"
    detail = "The payment request has an amount of its own; leave amount out, with a new key."


class TooManyAttempts(Undecided):
    """`retry_after_s` says when an attempt fits again, in whole seconds."""

    code = "too_many_attempts"
    detail = "Too many codes were wrong; nothing was decided, wait Retry-After seconds."

    def __init__(self, retry_after_s: int) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s


class PayCodeInvalid(Refused):
    code = "pay_code_invalid"
    detail = "This code can't be used, or no more; have the payer show a new one."


class PayCodeExceeded(Refused):
    code = "pay_code_exceeded"
    detail = "The amount is more than the payer's code allows; have a new one made for it."


class DeviceRevoked(Refused):
    code = "device_revoked"
    detail = "The device was revoked for good; register it anew."


class PaymentNotHeld(Refused):
    code = "payment_not_held"
    detail = "Only a payment that is held can be captured or voided; see its state."


class HoldExpired(Refused):
    code = "hold_expired"
    detail = "The hold's deadline has passed, what was left of it is released; make a new payment."


class CaptureExceedsHold(Refused):
    code = "capture_exceeds_hold"
    detail = "Less than this amount is still held; capture what is left, or leave amount out."


class PaymentNotRefundable(Refused):
    code = "payment_not_refundable"
    detail = "Only a settled payment that is no refund itself can be refunded; see its state."


class RefundExceedsPayment(Refused):
    code = "refund_exceeds_payment"
    detail = "Less than this amount of the payment has not been refunded yet."


class PaymentNotCancelable(Refused):
    code = "payment_not_cancelable"
    detail = "Only a scheduled payment can be canceled, and only before its time; see its state."


class PaymentNotPending(Refused):
    code = "payment_not_pending"
    detail = "The payment does not wait for a confirmation, or no more; see its state."


class SameAccount(Refused):
    code = "same_account"
    detail = "A posting must debit and credit two different accounts."


class AccountUnknown(Refused):
    code = "account_unknown"
    detail = "The account named does not exist; open it first."


class AccountClosed(Refused):
    code = "account_closed"
    detail = "The account named is closed for good; use another."


class AccountFrozen(Refused):
    code = "account_frozen"
    detail = "The account named is frozen; an admin can unfreeze it."


class CurrencyMismatch(Refused):
    code = "currency_mismatch"
    detail = "The account named holds another currency than the posting's."


class ConditionFailed(Refused):
    code = "condition_failed"
    detail = "The condition named is not so; read the account and decide again, with a new key."


class NothingAvailable(Refused):
    code = "nothing_available"
    detail = "The account has nothing of its own that the posting could take."


class InsufficientFunds(Refused):
    code = "insufficient_funds"
    detail = "The account named has less available than the posting takes."


class MaxBalanceExceeded(Refused):
    code = "max_balance_exceeded"
    detail = "The posting would take the account named above its maximum balance."


class BalanceOverflow(Refused):
    code = "balance_overflow"
    detail = "The posting would take the account's balance out of the signed 64-bit range."


class LimitExceeded(Refused):
    code = "limit_exceeded"
    detail = "A velocity limit of the account is used up; frees_at says when this would fit."


REFUSED: Final[dict[str, type[Refused]]] = {
    refused.code: refused
    for refused in (
        RequestCanceled,
        RequestPaid,
        RequestExpired,
        RevisionChanged,
        AmountRequired,
        AmountFixed,
        PayCodeInvalid,
        PayCodeExceeded,
        DeviceRevoked,
        PaymentNotHeld,
        HoldExpired,
        CaptureExceedsHold,
        PaymentNotRefundable,
        RefundExceedsPayment,
        PaymentNotCancelable,
        PaymentNotPending,
        SameAccount,
        AccountUnknown,
        AccountClosed,
        AccountFrozen,
        CurrencyMismatch,
        ConditionFailed,
        NothingAvailable,
        InsufficientFunds,
        MaxBalanceExceeded,
        BalanceOverflow,
        LimitExceeded,
    )
}
"""Recorded refusals by code, in the order of their precedence: a stored one is rendered with its
class's text."""
