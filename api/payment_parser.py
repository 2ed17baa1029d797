"""Plain payments from bytes, in a fifth of the time that the models of api/models.py take.

What it takes, it takes as they do, with the same fingerprint: tests hold both to each other.
Whatever is unusual (conditions, amounts to be found, text beyond ASCII, any error) it leaves to
them, who say what is wrong.
"""

import hashlib
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from api.codes import Asked
from api.models import ACCOUNT_ID, MAX_HOLD_S, MAX_METADATA, MAX_POSTINGS, Carrier
from domain.currencies import MINOR_UNIT_EXPONENTS
from domain.events import Posting
from domain.money import MAX_AMOUNT_MINOR
from domain.order import PaymentOrder

_AccountId = Annotated[str, Meta(pattern=ACCOUNT_ID)]


class _Posting(Struct, forbid_unknown_fields=True, gc=False):
    credit: _AccountId
    amount: Annotated[int, Meta(ge=1, le=MAX_AMOUNT_MINOR)]
    currency: str
    debit: _AccountId | UnsetType = UNSET


class _Payment(Struct, forbid_unknown_fields=True):
    postings: Annotated[list[_Posting], Meta(min_length=1, max_length=MAX_POSTINGS)]
    mode: Literal["settle", "hold"] | UnsetType = UNSET
    hold_timeout_s: Annotated[int, Meta(ge=1, le=MAX_HOLD_S)] | UnsetType = UNSET
    carrier: Carrier | UnsetType = UNSET
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
    pay_code: str | UnsetType = UNSET
    idempotency_key: str | UnsetType = UNSET


class PlainPayment(NamedTuple):
    asked: Asked
    key: str | None
    """Of a line of a bulk: as sent."""


_decoder: Final = msgspec.json.Decoder(_Payment)
canonical: Final = msgspec.json.Encoder(order="sorted").encode
"""Of ASCII text without escapes it writes what api.requests.fingerprint does."""
_TERMS: Final = ("mode", "hold_timeout_s", "carrier", "reference", "metadata")


def plain_payment(content: bytes) -> PlainPayment | None:
    """What `POST /v1/payments` asks for with this body, or a bulk with this line.

    None where it isn't plain, which says nothing about whether it is right.
    """
    if not has_no_escapes(content):
        return None
    try:
        sent = _decoder.decode(content)
    except msgspec.MsgspecError:
        return None
    terms: dict[str, Any] = {
        name: value for name in _TERMS if (value := getattr(sent, name)) is not UNSET
    }
    code = None if sent.pay_code is UNSET else sent.pay_code
    if content.count(b'"') != _quotes(sent, terms) or not _is_plain(sent, code):
        return None  # a member was there twice, or it is for the models to say what is wrong
    postings = tuple(
        Posting(posting.debit or "", posting.credit, posting.amount, posting.currency)
        for posting in sent.postings
    )
    members = terms if code is None else {"pay_code": code, **terms}
    meaning = ["POST", "/v1/payments", {"postings": sent.postings, **members}]
    asked = Asked(
        PaymentOrder(postings=postings, **{"metadata": {}, **terms}),
        hashlib.sha256(canonical(meaning)).digest(),
        code,
    )
    return PlainPayment(asked, None if sent.idempotency_key is UNSET else sent.idempotency_key)


def has_no_escapes(content: bytes) -> bool:
    """Nor anything that the fingerprint's form escapes."""
    return content.isascii() and b"\\" not in content and b"\x7f" not in content


def _is_plain(sent: _Payment, code: str | None) -> bool:
    """Whether its members go together: who shows a code is named by it, and pays at once."""
    if any(posting.currency not in MINOR_UNIT_EXPONENTS for posting in sent.postings):
        return False
    if code is not None and (len(sent.postings) > 1 or sent.mode == "hold"):
        return False
    if any((posting.debit is UNSET) != (code is not None) for posting in sent.postings):
        return False
    return sent.hold_timeout_s is UNSET or sent.mode == "hold"


def _quotes(sent: _Payment, terms: dict[str, Any]) -> int:
    """How many a body without escapes has in which each of these members stands once."""
    names = 1 + len(terms) + 4 * len(sent.postings)
    texts = 3 * len(sent.postings) + len(terms) - ("hold_timeout_s" in terms)
    if "metadata" in terms:
        names += len(terms["metadata"])
        texts += len(terms["metadata"]) - 1
    for lone in (sent.pay_code, sent.idempotency_key):
        if lone is not UNSET:
            names, texts = names + 1, texts + 1
    for posting in sent.postings:
        if posting.debit is UNSET:
            names, texts = names - 1, texts - 1
    return 2 * (names + texts)
