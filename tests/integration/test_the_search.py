"""The search at the end of a run finds what is planted in any of the places it looks at."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import psycopg
import pytest
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import NewTopic

from infrastructure.devices import SECRET_BYTES
from tests.fixtures import fix_secrets
from tests.fixtures.fix_kafka import SharedBroker
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_run import run_folder
from tests.fixtures.fix_search import forms
from tests.fixtures.fix_secrets import search_servers, searched_tables


def a_code() -> bytes:
    return f"9700{secrets.randbelow(10**20):020}".encode()


def a_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES - 3) + b"\n\0\n"


def places(secret: bytes) -> set[str]:
    found = {str(file) for file in search_servers(run_folder(), {secret})}
    names = ("/base/", "/pg_wal/", "/pg/log/", "/records/", "kafka-")
    return {name for name in names if any(name in file for file in found)}


@pytest.mark.slow
@pytest.mark.parametrize("new", [a_code, a_secret])
def test_what_is_planted_is_found(
    each_store: Store, kafka: SharedBroker, new: Callable[[], bytes]
) -> None:
    secret = new()
    assert places(secret) == set()
    with psycopg.connect(each_store.owner_dsn, autocommit=True) as conn:
        conn.execute("CREATE TABLE tally.planted (secret bytea)")
        conn.execute("INSERT INTO tally.planted VALUES (%s)", (secret,))
        conn.execute("CHECKPOINT")
        conn.execute("DO $$ BEGIN RAISE WARNING '%', 'x" + secret.hex() + "x'; END $$")
    topic = f"planted-{secrets.token_hex(4)}"
    with KafkaAdminClient(bootstrap_servers=kafka.bootstrap) as admin:
        admin.create_topics([NewTopic(topic, 1, 1)])
    with KafkaProducer(bootstrap_servers=kafka.bootstrap, compression_type="lz4") as producer:
        for value in (b"a first batch", secret * 50):
            producer.send(topic, value, partition=0)
            producer.flush()
    assert places(secret) >= {"/base/", "/pg_wal/", "/pg/log/", "/records/"}


def test_a_code_in_a_table_fails_the_test_that_left_it(
    fresh_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = a_code()

    def leave(told: bytes) -> None:
        noted = set[bytes]()
        monkeypatch.setattr(fix_secrets, "_noted", noted)
        with (
            searched_tables(fresh_store.owner_dsn),
            psycopg.connect(fresh_store.owner_dsn, autocommit=True) as conn,
        ):
            noted.add(code)
            conn.execute("UPDATE tally.planted SET note = %s", (told.decode(),))

    with psycopg.connect(fresh_store.owner_dsn, autocommit=True) as conn:
        conn.execute("CREATE TABLE tally.planted (note text)")
        conn.execute("INSERT INTO tally.planted VALUES ('')")
    for form in forms(code):
        with pytest.raises(AssertionError, match="planted") as failure:
            leave(b"so it stands: " + form)
        assert code.decode() not in str(failure.value)
    leave(code[:-1])
