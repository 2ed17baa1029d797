"""Phones that make codes of their own, offline: in time, once, within both caps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from infrastructure.secret import Secrets
from tests.fixtures.fix_api import SECRET, Api, an_api
from tests.fixtures.fix_postgres import Cluster, Store
from tests.fixtures.fix_steps import Clock
from tests.fixtures.fix_tills import Till, by_code, told


@pytest.fixture(scope="module")
def store(cluster: Cluster) -> Iterator[Store]:
    with cluster.store() as made:
        yield made


@pytest.fixture(scope="module")
def mall(store: Store, hands: Clock) -> Iterator[Api]:
    with an_api(store, clock=hands, attempts_per_caller=10_000, attempts_per_account=10_000) as api:
        api.open("cash", overdraft_limit=None)
        yield api


def test_a_device_is_told_its_secret_once(till: Till) -> None:
    body = {
        "debit_account": till.payer,
        "currency": "EUR",
        "per_payment_max": 100,
        "offline_total_max": 250,
    }
    first = till.api.post("/v1/devices", body, key=f"device-{till.payer}")
    assert (first.status_code, len(first.json()["secret"])) == (201, 32)
    again = till.api.post("/v1/devices", body, key=f"device-{till.payer}")
    assert again.json() == {**first.json(), "secret": None}
    read = till.api.get(f"/v1/devices/{first.json()['id']}")
    assert read.json() == {k: v for k, v in first.json().items() if k != "secret"}
    dry = till.api.post("/v1/devices", body, dry_run="true", key=None)
    assert (dry.status_code, dry.json()["secret"]) == (200, None)
    nobody = till.api.post("/v1/devices", {**body, "debit_account": "nobody"})
    assert told(nobody) == (422, "account_unknown")


def rows(store: Store) -> list[Any]:
    with psycopg.connect(store.app_dsn) as conn:
        return conn.execute("SELECT device, handle, sealed FROM tally.device_secrets").fetchall()


def test_a_refused_registration_keeps_no_secret(till: Till, store: Store) -> None:
    before = len(rows(store))
    body = {"debit_account": "nobody", "currency": "EUR"}
    caps = {"per_payment_max": 1, "offline_total_max": 1}
    till.api.post("/v1/devices", {**body, **caps})
    assert len(rows(store)) == before


@pytest.mark.parametrize(
    ("skew", "works"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)]
)
def test_its_clock_may_be_a_step_off(till: Till, hands: Clock, skew: int, works: bool) -> None:
    phone = till.phone()
    answer = till.pay(phone.code(hands.now, skew), 10)
    assert told(answer) == ((201, "settled") if works else (422, "pay_code_invalid"))


def test_a_step_is_spent_once_and_both_caps_hold(till: Till, hands: Clock) -> None:
    phone = till.phone()
    code = phone.code(hands.now)
    assert told(till.pay(code, 101)) == (422, "pay_code_exceeded")
    assert told(till.pay(code, 100)) == (201, "settled")
    assert told(till.pay(code, 1)) == (422, "pay_code_invalid")
    hands.later(seconds=30)
    assert told(till.pay(phone.code(hands.now), 100)) == (201, "settled")
    hands.later(seconds=30)
    assert told(till.pay(phone.code(hands.now), 51)) == (422, "pay_code_exceeded")
    paid = till.pay(phone.code(hands.now), 50)
    assert told(paid) == (201, "settled")
    path = f"/v1/devices/{phone.device['id']}"
    read = till.api.get(path, min_position=paid.json()["position"]).json()
    assert (read["offline_spent"], read["state"]) == (250, "active")
    online = till.api.post(f"{path}/online", {}, key=f"online-{till.payer}")
    assert (online.status_code, online.json()["offline_spent"]) == (200, 0)
    assert told(till.pay(phone.code(hands.now), 1)) == (422, "pay_code_invalid")
    hands.later(seconds=30)
    assert told(till.pay(phone.code(hands.now), 100)) == (201, "settled")
    replay = till.api.post(f"{path}/online", {}, key=f"online-{till.payer}")
    assert replay.json() == online.json()


def test_a_revoked_device_pays_no_more(till: Till, hands: Clock) -> None:
    phone = till.phone()
    path = f"/v1/devices/{phone.device['id']}"
    for _ in range(2):
        assert told(till.api.post(f"{path}/revoke", {})) == (200, "revoked")
    refused = till.api.post(f"{path}/online", {})
    assert (told(refused), refused.json()["device"]) == (
        (422, "device_revoked"),
        phone.device["id"],
    )
    assert told(till.pay(phone.code(hands.now), 1)) == (422, "pay_code_invalid")
    unknown = "/v1/devices/7a1f3c55-1d2e-5b8a-9c40-2e6b7d8f9a10"
    assert till.api.get(unknown).status_code == 404
    assert till.api.post(f"{unknown}/revoke", {}).status_code == 404


def test_a_code_of_another_phone_or_handle_is_none(till: Till, hands: Clock) -> None:
    phone, other = till.phone(), till.phone()
    swapped = {**phone.device, "handle": other.device["handle"]}
    code = type(phone)(swapped).code(hands.now)
    refusals = [till.pay(code), till.pay("9701" + "0" * 20), till.pay(phone.code(hands.now, 3))]
    assert [told(each) for each in refusals] == [(422, "pay_code_invalid")] * 3


def test_a_restart_forgets_no_step_and_no_cap(mall: Api, till: Till, hands: Clock) -> None:
    phone = till.phone()
    code = phone.code(hands.now)
    assert told(till.pay(code, 100)) == (201, "settled")
    with an_api(mall.store, workers=False, clock=hands) as again:
        later = Till(again, till.payer, till.shop)
        assert told(later.pay(code, 1)) == (422, "pay_code_invalid")
        hands.later(seconds=30)
        assert told(later.pay(phone.code(hands.now), 100)) == (201, "settled")
        assert told(later.pay(phone.code(hands.now, 1), 51)) == (422, "pay_code_exceeded")


def test_caps_hold_exactly_in_races_through_two_processes(
    mall: Api,
    till: Till,
    hands: Clock,
    scaled: Callable[..., int],
    figure: Callable[[str, object], None],
) -> None:
    """Three codes are live at a time, ten cashiers take them at once: one each, 250 in all."""
    races = scaled(200, least=10)
    with (
        an_api(mall.store, workers=False, sweeps=False, clock=hands) as other,
        ThreadPoolExecutor(10) as pool,
    ):
        apis = (mall, other)
        for race in range(races):
            payer = Till.made(mall)
            phone = payer.phone(per_payment_max=100, offline_total_max=250)
            codes = [phone.code(hands.now, skew) for skew in (-1, 0, 1)]
            sent = [
                pool.submit(
                    apis[n % 2].post,
                    "/v1/payments",
                    by_code(codes[n % 3], payer.shop, 100 if race % 2 else 101 - n % 2),
                )
                for n in range(12)
            ]
            answers = [told(one.result()) for one in sent]
            # 100 and 100 fit; the third code's amount is above what is left of the total.
            assert answers.count((201, "settled")) == 2, answers
            spent = mall.get(
                f"/v1/devices/{phone.device['id']}",
                min_position=max(one.result().json()["position"] for one in sent),
                headers={"Prefer": "wait=20"},
            ).json()["offline_spent"]
            assert spent == 200
    figure("offline codes raced by 12 cashiers", races)


def test_secrets_are_sealed_and_survive_a_change_of_the_servers(
    mall: Api, till: Till, hands: Clock
) -> None:
    phone = till.phone()
    hands.later(seconds=60)
    before = {row[0]: row[2] for row in rows(mall.store)}
    new = "quite another secret"
    with an_api(
        mall.store, workers=False, clock=hands, secrets_of_store=Secrets(new, SECRET)
    ) as turned:
        after = {row[0]: row[2] for row in rows(mall.store)}
        assert before.keys() == after.keys()
        assert all(before[device] != sealed for device, sealed in after.items())
        later = Till(turned, till.payer, till.shop)
        assert told(later.pay(phone.code(hands.now), 1)) == (201, "settled")
    with an_api(
        mall.store, workers=False, clock=hands, secrets_of_store=Secrets(new, None)
    ) as changed:
        hands.later(seconds=60)
        changed.keys.update(turned.keys)  # hashed anew as they were used
        later = Till(changed, till.payer, till.shop)
        assert told(later.pay(phone.code(hands.now), 1)) == (201, "settled")
