"""API keys and the secret that keys their hashes, on a real store."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from infrastructure.keys import KeyRefused, create_key, list_keys, revoke_key
from infrastructure.secret import SecretMismatch, Secrets, accept_secret, key_hash
from tests.fixtures.fix_postgres import Store

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
OLD, NEW, NEWER = "the secret of old", "the secret of now", "the secret to come"


@pytest.fixture
def conn(fresh_store: Store) -> Iterator[psycopg.Connection]:
    with psycopg.connect(fresh_store.app_dsn, autocommit=True) as made:
        yield made


def _create(
    conn: psycopg.Connection, caller: str = "shop", role: str = "client"
) -> tuple[str, str]:
    return create_key(conn, OLD, caller=caller, role=role, clock=lambda: NOW)


def _hashes(conn: psycopg.Connection) -> list[bytes]:
    return [row[0] for row in conn.execute("SELECT hash FROM tally.keys")]


def test_of_a_key_the_store_has_a_keyed_hash_alone(conn: psycopg.Connection) -> None:
    key_id, key = _create(conn)
    assert key.startswith("tk_")
    assert len(key) == 46
    assert _hashes(conn) == [key_hash(OLD, key)]
    row = conn.execute("SELECT keys::text FROM tally.keys").fetchone()
    assert row is not None
    assert key_id in row[0]
    assert key not in row[0]


def test_a_caller_may_have_several_keys(conn: psycopg.Connection) -> None:
    made = {_create(conn)[0], _create(conn)[0], _create(conn, "auditor's", "auditor")[0]}
    assert {key.key_id for key in list_keys(conn)} == made
    assert [key.caller for key in list_keys(conn)].count("shop") == 2


def test_a_revoked_key_stays_listed_with_its_time(conn: psycopg.Connection) -> None:
    key_id, _ = _create(conn)
    assert [key.revoked_at for key in list_keys(conn)] == [None]
    assert revoke_key(conn, key_id, clock=lambda: NOW)
    assert revoke_key(conn, key_id, clock=lambda: NOW + timedelta(days=1))
    assert [key.revoked_at for key in list_keys(conn)] == [NOW]


def test_a_key_that_is_not_there_is_not_revoked(conn: psycopg.Connection) -> None:
    assert not revoke_key(conn, "key_unknown", clock=lambda: NOW)


@pytest.mark.parametrize("caller", ["", "x" * 65, "two words", "tallystick", "a\n", "café"])
def test_a_name_that_is_no_caller_s_is_refused(conn: psycopg.Connection, caller: str) -> None:
    with pytest.raises(KeyRefused, match="caller's name"):
        _create(conn, caller)


def test_an_unknown_role_is_refused(conn: psycopg.Connection) -> None:
    with pytest.raises(KeyRefused, match="client, auditor, reporter, admin"):
        _create(conn, role="owner")


def test_a_key_s_role_and_caller_never_change(conn: psycopg.Connection) -> None:
    _create(conn)
    for column in ("caller", "role", "key_id", "created_at"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(f"UPDATE tally.keys SET {column} = {column}".encode())
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("DELETE FROM tally.keys")


@pytest.mark.parametrize(
    "change", ["revoked_at = NULL", "revoked_at = revoked_at + interval '1 day'", "hash = ''"]
)
def test_a_revoked_key_stays_as_it_is(conn: psycopg.Connection, change: str) -> None:
    revoked, _ = _create(conn)
    other, _ = _create(conn)
    assert revoke_key(conn, revoked, clock=lambda: NOW)
    kept = conn.execute("SELECT * FROM tally.keys ORDER BY revoked_at").fetchall()
    with pytest.raises(psycopg.errors.RaiseException, match=f"{revoked} was revoked"):
        conn.execute(f"UPDATE tally.keys SET {change} WHERE key_id = '{revoked}'".encode())
    assert conn.execute("SELECT * FROM tally.keys ORDER BY revoked_at").fetchall() == kept
    conn.execute(f"UPDATE tally.keys SET {change} WHERE key_id = '{other}'".encode())


# The secret ---------------------------------------------------------------------------------


def _live(conn: psycopg.Connection) -> int:
    row = conn.execute("SELECT cardinality(secret_checks) FROM tally.ledger").fetchone()
    assert row is not None
    return int(row[0])


def test_a_store_takes_the_first_secret_it_is_given(conn: psycopg.Connection) -> None:
    accept_secret(conn, Secrets(OLD, None))
    accept_secret(conn, Secrets(OLD, None))
    assert _live(conn) == 1


def test_another_secret_is_refused_and_not_shown(conn: psycopg.Connection) -> None:
    accept_secret(conn, Secrets(OLD, None))
    for previous in (None, NEWER):
        with pytest.raises(SecretMismatch, match="TALLY_SECRET_PREVIOUS") as refused:
            accept_secret(conn, Secrets(NEW, previous))
        assert NEW not in str(refused.value)


def test_while_it_is_changed_both_secrets_are_live(conn: psycopg.Connection) -> None:
    accept_secret(conn, Secrets(OLD, None))
    accept_secret(conn, Secrets(NEW, OLD))
    accept_secret(conn, Secrets(OLD, None))
    accept_secret(conn, Secrets(NEW, None))
    assert _live(conn) == 2


def test_at_most_two_secrets_are_live(conn: psycopg.Connection) -> None:
    accept_secret(conn, Secrets(OLD, None))
    accept_secret(conn, Secrets(NEW, OLD))
    accept_secret(conn, Secrets(NEWER, NEW))
    assert _live(conn) == 2
    with pytest.raises(SecretMismatch):
        accept_secret(conn, Secrets(OLD, None))


def test_a_key_is_looked_for_under_both_secrets() -> None:
    assert Secrets(NEW, None).hashes()("tk_x") == (key_hash(NEW, "tk_x"),)
    assert Secrets(NEW, OLD).hashes()("tk_x") == (key_hash(NEW, "tk_x"), key_hash(OLD, "tk_x"))
