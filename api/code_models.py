"""Bodies of requests about pay codes and devices, and of a payment by a code."""

from typing import Annotated, Literal

from pydantic import Field, RootModel

from api.models import AccountId, Amount, Currency, Limit, PaymentBody, PaymentTerms
from api.requests import KEY, RequestBody

ALONE = "Not with pay_code"


class PostingByCodeBody(RequestBody):
    credit: AccountId
    amount: Amount
    currency: Currency


class PaymentByCodeBody(PaymentTerms):
    """A payment whose payer showed a code, online or offline made: it names the debited account."""

    pay_code: str = Field(description="As it was read or typed; any text is decided alike")
    postings: list[PostingByCodeBody] = Field(min_length=1, max_length=1)
    mode: Literal["settle"] = "settle"
    hold_timeout_s: None = Field(None, description=ALONE)
    execute_at: None = Field(None, description=ALONE)


class AnyPaymentBody(RootModel[PaymentBody | PaymentByCodeBody]):
    """A payment whose payer is named, or showed a code."""


class _Keyed(RequestBody):
    idempotency_key: str = Field(
        pattern=KEY, description="As the header `Idempotency-Key` of a single payment"
    )


class BulkPaymentBody(PaymentBody, _Keyed):
    """A payment and its key."""


class BulkPaymentByCodeBody(PaymentByCodeBody, _Keyed):
    """A payment whose payer showed a code, and its key."""


class BulkLineBody(RootModel[BulkPaymentBody | BulkPaymentByCodeBody]):
    """One line of a bulk: a payment, by code or not, and its key."""


class PayCodeBody(RequestBody):
    debit_account: AccountId
    currency: Currency
    max_amount: Amount
    confirm_above: Annotated[Limit, Field(description="More waits for the payer")] | None = Field(
        None, description="Left out, nothing does"
    )
    expires_in_s: int = Field(60, ge=10, le=300, description="Until then it may be used, once")


class DeviceBody(RequestBody):
    debit_account: AccountId
    currency: Currency
    per_payment_max: Amount
    offline_total_max: Annotated[
        Amount, Field(description="Minor units, from one time online to the next")
    ]
