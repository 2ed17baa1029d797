"""Plain payments from bytes, in a fifth of the time that the models of api/models.py take.

What it takes, it takes as they do, with the same fingerprint: tests hold both to each other.
Whatever is unusual (conditions, amounts to be found, text beyond ASCII, any error) it leaves to
them, who say what is wrong.
"""

import hashlib
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from api.models import ACCOUNT_ID, MAX_HOLD_S, MAX_METADATA, MAX_POSTINGS
from domain.currencies import MINOR_UNIT_EXPONENTS
from domain.events import Posting
from domain.money import MAX_AMOUNT_MINOR
from domain.order import PaymentOrder

_AccountId = Annotated[str, Meta(pattern=ACCOUNT_ID)]


class _Posting(Struct, forbid_unknown_fields=True, gc=False):
    debit: _AccountId
    credit: _AccountId
    amount: Annotated[int, Meta(ge=1, le=MAX_AMOUNT_MINOR)]
    currency: str


class _Payment(Struct, forbid_unknown_fields=True):
    postings: Annotated[list[_Posting], Meta(min_length=1, max_length=MAX_POSTINGS)]
    mode: Literal["settle", "hold"] | UnsetType = UNSET
    hold_timeout_s: Annotated[int, Meta(ge=1, le=MAX_HOLD_S)] | UnsetType = UNSET
    carrier: Literal["api", "qr", "barcode", "nfc", "sonic", "link"] | UnsetType = UNSET
    reference: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    metadata: (
        Annotated[
            dict[
                Annotated[str, Meta(min_length=1, max_length=64)],
                Annotated[str, Meta(max_length=256)],
            ],
            Meta(max_length=MAX_METADATA),
        ]
        | UnsetType
    ) = UNSET
    idempotency_key: str | UnsetType = UNSET


class PlainPayment(NamedTuple):
    order: PaymentOrder
    fingerprint: bytes
    key: str | None
    """Of a line of a bulk: as sent."""


_decoder: Final = msgspec.json.Decoder(_Payment)
_canonical: Final = msgspec.json.Encoder(order="sorted")
"""Of ASCII text without escapes it writes what api.requests.fingerprint does."""
_OPTIONAL: Final = ("mode", "hold_timeout_s", "carrier", "reference", "metadata")


def plain_payment(content: bytes) -> PlainPayment | None:
    """What `POST /v1/payments` asks for with this body, or a bulk with this line.

    None where it isn't plain, which says nothing about whether it is right.
    """
    if not content.isascii() or b"\\" in content or b"\x7f" in content:
        return None  # the fingerprint's form escapes what these say
    try:
        sent = _decoder.decode(content)
    except msgspec.MsgspecError:
        return None
    members: dict[str, Any] = {
        name: value for name in _OPTIONAL if (value := getattr(sent, name)) is not UNSET
    }
    postings = tuple(
        Posting(posting.debit, posting.credit, posting.amount, posting.currency)
        for posting in sent.postings
    )
    if (
        content.count(b'"') != _quotes(sent, members)  # else a member was there twice
        or any(posting.currency not in MINOR_UNIT_EXPONENTS for posting in postings)
        or ("hold_timeout_s" in members and members.get("mode") != "hold")
    ):
        return None
    meaning = ["POST", "/v1/payments", {"postings": sent.postings, **members}]
    return PlainPayment(
        order=PaymentOrder(postings=postings, **{"metadata": {}, **members}),
        fingerprint=hashlib.sha256(_canonical.encode(meaning)).digest(),
        key=None if sent.idempotency_key is UNSET else sent.idempotency_key,
    )


def _quotes(sent: _Payment, members: dict[str, Any]) -> int:
    """How many a body without escapes has in which each of these members stands once."""
    names = 1 + len(members) + 4 * len(sent.postings)
    texts = 3 * len(sent.postings) + len(members) - ("hold_timeout_s" in members)
    if "metadata" in members:
        names += len(members["metadata"])
        texts += len(members["metadata"]) - 1
    if sent.idempotency_key is not UNSET:
        names, texts = names + 1, texts + 1
    return 2 * (names + texts)
