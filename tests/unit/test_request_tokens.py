"""Tokens of payment requests: what finds its request, and what finds nothing."""

from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from infrastructure.order_signatures import OrderSigner
from infrastructure.request_tokens import RequestTokens
from infrastructure.secret import Secrets

OLD, NEW = "a secret of the past", "a secret of today"
TOKENS = RequestTokens(Secrets(NEW, OLD))
BEFORE = RequestTokens(Secrets(OLD, None))


@given(st.uuids())
def test_a_token_finds_its_request_and_is_the_same_each_time(request: UUID) -> None:
    token = TOKENS.token(request, TOKENS.key)
    assert token is not None
    assert TOKENS.request(token) == request
    assert TOKENS.token(request, TOKENS.key) == token


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]{43}", fullmatch=True))
def test_any_other_text_finds_nothing(text: str) -> None:
    assert TOKENS.request(text) is None


@given(st.uuids(), st.integers(0, 42), st.sampled_from("ABab01-_"))
def test_a_token_with_another_character_finds_nothing(
    request: UUID, place: int, character: str
) -> None:
    token = TOKENS.token(request, TOKENS.key) or ""
    other = token[:place] + character + token[place + 1 :]
    assert TOKENS.request(other) == (request if other == token else None)


def test_a_token_of_before_is_good_while_its_secret_is_live() -> None:
    request = uuid4()
    token = BEFORE.token(request, BEFORE.key)
    assert token is not None
    assert BEFORE.key != TOKENS.key
    assert TOKENS.token(request, BEFORE.key) == token != TOKENS.token(request, TOKENS.key)
    assert TOKENS.request(token) == request
    after = RequestTokens(Secrets(NEW, None))
    assert after.token(request, BEFORE.key) is None
    assert after.request(token) is None


def test_keys_are_the_same_in_every_process_and_those_of_both_secrets_are_published() -> None:
    rotating, before = OrderSigner(Secrets(NEW, OLD)), OrderSigner(Secrets(OLD, None))
    assert rotating.jwks["keys"][1:] == before.jwks["keys"]
    assert OrderSigner(Secrets(NEW, OLD)).jwks == rotating.jwks
    assert rotating.sign({"amount": 1}) != before.sign({"amount": 1})
