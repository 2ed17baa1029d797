"""What a payer's phone is shown: signed orders, by whom they verify, and until when."""

from __future__ import annotations

import json
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from joserfc import jws
from joserfc.errors import BadSignatureError, InvalidKeyIdError
from joserfc.jwk import KeySet

from infrastructure.carriers import emvco
from infrastructure.request_tokens import RequestTokens
from infrastructure.secret import Secrets
from tests.fixtures.fix_api import SECRET, Api, an_api
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_steps import Clock

# RFC 9864 has a newer name for it; what clients know is this one.
pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")

MICROSECOND = timedelta(microseconds=1)


@pytest.fixture
def hands(fresh_store: Store, clock: Clock) -> Iterator[tuple[Api, Clock]]:
    """An API by a clock that is moved by hand, on which nobody sweeps."""
    with an_api(fresh_store, clock=clock, sweeps=False) as api:
        api.open("cash", normal_side="debit", overdraft_limit=None)
        api.open("shop")
        yield api, clock


def opened(api: Api, amount: int | None = 1050, **members: Any) -> dict[str, Any]:
    body = {"credit_account": "shop", "amount": amount, "currency": "EUR", **members}
    answer = api.post("/v1/payment-requests", body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def order(api: Api, request: dict[str, Any]) -> str:
    answer = api.get(request["url"].removeprefix(api.url), role=None)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/jose"
    return answer.text


def keys(api: Api) -> KeySet:
    answer = api.get("/.well-known/jwks.json", role=None)
    assert answer.status_code == 200
    return KeySet.import_key_set(answer.json())


def verified(signed: str, by: KeySet) -> Any:
    """By a library that isn't ours. Raises BadSignatureError."""
    return json.loads(jws.deserialize_compact(signed, by, algorithms=["EdDSA"]).payload)


def test_an_order_verifies_by_the_published_keys_and_says_what_is_asked(
    hands: tuple[Api, Clock],
) -> None:
    api, clock = hands
    request = opened(api, description="Tea ☕", expires_in_s=60)
    signed = order(api, request)
    now = int(clock().timestamp())
    assert verified(signed, keys(api)) == {
        "id": request["id"],
        "payee": "shop",
        "amount": 1050,
        "currency": "EUR",
        "revision": 1,
        "description": "Tea ☕",
        "iat": now,
        "exp": now + 60,
    }
    header = json.loads(urlsafe_b64decode(signed.partition(".")[0] + "=="))
    assert header["alg"] == "EdDSA"
    assert header["kid"] in {key.kid for key in keys(api).keys}
    changed = api.send("PATCH", f"/v1/payment-requests/{request['id']}", {"amount": None})
    told = verified(order(api, changed.json()), keys(api))
    assert (told["amount"], told["revision"]) == (None, 2)


def test_a_changed_amount_does_not_verify(hands: tuple[Api, Clock]) -> None:
    api, _ = hands
    header, payload, signature = order(api, opened(api)).split(".")
    told = json.loads(urlsafe_b64decode(payload + "=="))
    told["amount"] = 1
    forged = urlsafe_b64encode(json.dumps(told).encode()).decode().rstrip("=")
    assert verified(f"{header}.{payload}.{signature}", keys(api))["amount"] == 1050
    with pytest.raises(BadSignatureError):
        verified(f"{header}.{forged}.{signature}", keys(api))


def test_orders_of_before_a_rotation_verify_after_it_and_urls_stay(
    fresh_store: Store, clock: Clock
) -> None:
    new, newer = "another secret, of later", "and one more, of the end"
    with an_api(fresh_store, clock=clock, sweeps=False) as api:
        api.open("shop")
        request = opened(api)
        before = order(api, request)
        first = {"credit_account": "shop", "currency": "EUR"}
        answered = api.post("/v1/payment-requests", first, key="first").json()
        old_url = api.url
    rotating = Secrets(new, SECRET)
    with an_api(fresh_store, clock=clock, sweeps=False, secrets_of_store=rotating) as api:
        request = {**request, "url": request["url"].replace(old_url, api.url)}
        told = api.get(f"/v1/payment-requests/{request['id']}").json()
        assert (told["url"], told["qr_text"]) == (request["url"], request["qr_text"])
        again = api.post("/v1/payment-requests", first, key="first").json()
        assert again == {**answered, "url": answered["url"].replace(old_url, api.url)}
        assert verified(before, keys(api))["id"] == request["id"]
        after = order(api, request)
        assert verified(after, keys(api))["id"] == request["id"]
        assert len(keys(api).keys) == 2
        fresh = opened(api)
        assert verified(order(api, fresh), keys(api))["id"] == fresh["id"]
    gone = Secrets(newer, new)
    with an_api(fresh_store, clock=clock, sweeps=False, secrets_of_store=gone) as api:
        told = api.get(f"/v1/payment-requests/{request['id']}").json()
        assert (told["url"], told["qr_text"], told["state"]) == (None, None, "open")
        assert api.get(f"/v1/payment-requests/{request['id']}/qr").json()["code"] == "gone"
        path = request["url"].rpartition("/p/")[2]
        assert api.get(f"/p/{path}", role=None).status_code == 404
        assert verified(after, keys(api))["id"] == request["id"]
        with pytest.raises(InvalidKeyIdError):
            verified(before, keys(api))


def test_no_log_line_has_a_token(
    hands: tuple[Api, Clock], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    api, _ = hands
    request = opened(api)
    token = request["url"].rpartition("/")[2]
    caplog.set_level("INFO", logger="tally.access")
    order(api, request)
    api.get(f"/p/{token[:-1]}", role=None)
    keys(api)  # a line is written once its answer is: those before are there by now
    lines = capsys.readouterr().err
    assert lines.count('"route":"/p/{token}"') == 2
    assert token[:-1] not in lines


def test_an_order_is_gone_once_it_is_paid_canceled_or_over(hands: tuple[Api, Clock]) -> None:
    api, clock = hands
    paid, canceled, late = opened(api), opened(api), opened(api, expires_in_s=30)
    body = {"debit_account": "cash", "revision": 1}
    assert api.post(f"/v1/payment-requests/{paid['id']}/pay", body).status_code == 201
    api.post(f"/v1/payment-requests/{canceled['id']}/cancel")
    assert order(api, late)
    clock.later(seconds=30)
    for request in (paid, canceled, late):
        answer = api.get(request["url"].removeprefix(api.url), role=None)
        assert (answer.status_code, answer.json()["code"]) == (410, "gone")


def test_a_token_that_is_none_of_ours_is_not_found(hands: tuple[Api, Clock]) -> None:
    api, _ = hands
    request = opened(api)
    token = request["url"].rpartition("/")[2]
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", token)
    other = RequestTokens(Secrets("a secret of somebody else", None))
    assert other.request(token) is None
    # The last character has two bits to spare: written otherwise, it is no token of ours.
    spare = chr(ord(token[-1]) + 1)
    for wrong in (
        token[:-1] + spare,
        token[:-2] + ("A" if token[-2] != "A" else "B") + token[-1],
        ("A" if token[0] != "A" else "B") + token[1:],
        token + "A",
        token[:-1],
        request["id"],
        "x",
    ):
        answer = api.get(f"/p/{wrong}", role=None)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), wrong


def test_a_request_is_paid_until_the_microsecond_of_its_deadline_swept_or_not(
    hands: tuple[Api, Clock],
) -> None:
    api, clock = hands
    requests = [opened(api, 5, expires_in_s=30) for _ in range(3)]
    deadline = datetime.fromisoformat(requests[0]["expires_at"])
    body = {"debit_account": "cash", "revision": 1}

    def pay(request: dict[str, Any]) -> Any:
        return api.post(f"/v1/payment-requests/{request['id']}/pay", body)

    def state(request: dict[str, Any]) -> Any:
        return api.get(f"/v1/payment-requests/{request['id']}").json()["state"]

    clock.now = deadline - MICROSECOND
    assert state(requests[1]) == "open"
    paid = pay(requests[0])
    assert paid.status_code == 201
    position = paid.json()["position"]
    listed = {"credit_account": "shop", "state": "open", "min_position": position}
    assert len(api.get("/v1/payment-requests", **listed).json()["items"]) == 2
    for clock.now in (deadline, deadline + MICROSECOND):
        assert state(requests[1]) == "expired"
        assert pay(requests[1]).json()["code"] == "request_expired"
        path = f"/v1/payment-requests/{requests[2]['id']}"
        assert api.send("PATCH", path, {"expires_in_s": 60}).json()["code"] == "request_expired"
        assert api.post(f"{path}/cancel").json()["code"] == "request_expired"
        assert not api.get("/v1/payment-requests", **listed).json()["items"]
        expired = api.get("/v1/payment-requests", state="expired").json()["items"]
        assert [each["id"] for each in expired] == [each["id"] for each in reversed(requests[1:])]


def test_a_change_before_the_deadline_moves_it(hands: tuple[Api, Clock]) -> None:
    api, clock = hands
    request = opened(api, expires_in_s=30)
    clock.now = datetime.fromisoformat(request["expires_at"]) - MICROSECOND
    path = f"/v1/payment-requests/{request['id']}"
    moved = api.send("PATCH", path, {"expires_in_s": 30}).json()
    assert datetime.fromisoformat(moved["expires_at"]) == clock.now + timedelta(seconds=30)
    clock.later(seconds=29)
    assert api.get(path, min_position=moved["position"]).json()["state"] == "open"


def test_the_qr_code_carries_the_token_and_the_amount(hands: tuple[Api, Clock]) -> None:
    api, _ = hands
    request = opened(api)
    token = request["url"].rpartition("/")[2]
    path = f"/v1/payment-requests/{request['id']}/qr"
    text = api.get(path, **{"as": "text"})
    assert text.text == request["qr_text"]
    fields = emvco.parse(text.text)
    assert fields["01"] == "12"
    assert fields["26"] == {"00": "internal.tallystick", "01": token}
    assert (fields["53"], fields["54"], fields["59"]) == ("978", "10.50", "shop")
    assert fields["62"] == {"05": request["id"].replace("-", "")[:25]}
    assert api.get(path).headers["content-type"] == "image/svg+xml"
    png = api.get(path, **{"as": "png"})
    read = api.send(
        "POST",
        "/v1/qr/decode",
        key=None,
        content=png.content,
        headers={"Content-Type": "image/png"},
    )
    assert read.json()["fields"] == fields
    by_url = api.post("/v1/qr/decode", {"text": request["url"]}, key=None)
    assert by_url.json() == {"kind": "url", "token": token}


def test_an_amount_that_a_qr_code_cannot_hold_has_a_url_alone(hands: tuple[Api, Clock]) -> None:
    api, _ = hands
    request = opened(api, 2**53 - 1)
    assert request["qr_text"] is None
    answer = api.get(f"/v1/payment-requests/{request['id']}/qr")
    assert (answer.status_code, answer.json()["code"]) == (422, "amount_not_representable")
    assert verified(order(api, request), keys(api))["amount"] == 2**53 - 1


def test_urls_begin_with_the_public_one_where_it_is_set(fresh_store: Store) -> None:
    with an_api(fresh_store, public_url="https://pay.example/shop") as api:
        api.open("shop")
        assert opened(api)["url"].startswith("https://pay.example/shop/p/")


def test_the_ledger_itself_records_that_a_request_is_over(fresh_store: Store, clock: Clock) -> None:
    with an_api(fresh_store, clock=clock) as api:
        api.open("shop")
        request = opened(api, expires_in_s=30)
        clock.later(seconds=30)
        for _ in range(200):
            items = api.get("/v1/events", after=request["position"], role="auditor").json()["items"]
            if items:
                break
            time.sleep(0.05)
        (event,) = items
        assert event["type"] == "tally.payment_request.expired.v1"
        assert (event["stream"], event["actor"]["caller"]) == (request["id"], "tallystick")
        told = api.get(f"/v1/payment-requests/{request['id']}", min_position=event["position"])
        assert (told.json()["state"], told.json()["position"]) == ("expired", event["position"])
