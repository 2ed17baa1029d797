"""Bodies of requests about payment requests: a shop's orders that wait for a payer."""

from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, Field

from api.models import (
    NO_NUL,
    AccountId,
    Amount,
    Carrier,
    Currency,
    Metadata,
    Reference,
    text,
)
from api.requests import RequestBody
from domain.money import MAX_AMOUNT_MINOR

AMOUNT: Final = frozenset({"amount"})

AmountAsked = Annotated[Amount | None, Field(description="Minor units; null is the payer's choice")]
Description = Annotated[str, AfterValidator(text), Field(max_length=140, json_schema_extra=NO_NUL)]
ExpiresInS = Annotated[int, Field(ge=30, le=2_592_000, description="How long it waits")]


class OpenPaymentRequestBody(RequestBody):
    NULL_SAYS: ClassVar[frozenset[str]] = AMOUNT

    credit_account: AccountId
    amount: AmountAsked = None
    currency: Currency
    reference: Reference | None = Field(None, description="The payment's too")
    description: Description | None = Field(None, description="What the payer is shown")
    expires_in_s: ExpiresInS = 900
    metadata: Metadata = Field(default_factory=dict, description="The payment's too")


class ChangePaymentRequestBody(RequestBody):
    """What is absent stays as it is."""

    NULL_SAYS: ClassVar[frozenset[str]] = AMOUNT

    amount: AmountAsked = None
    description: Description | None = None
    expires_in_s: ExpiresInS | None = Field(None, description="From now on")


class PayPaymentRequestBody(RequestBody):
    debit_account: AccountId
    revision: int = Field(
        ge=1, le=MAX_AMOUNT_MINOR, description="The one that the payer has been shown"
    )
    amount: Amount | None = Field(
        None, description="Needed where the request has none; else left out, or the same"
    )
    carrier: Carrier = "qr"
