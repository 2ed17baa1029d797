"""What the API says when the store does not answer, is slow, or the queue is full."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import psycopg

from infrastructure.locks import EVENT_APPEND_LOCK
from tests.fixtures.fix_api import an_api
from tests.fixtures.fix_postgres import Store


def test_a_full_queue_is_told_at_once_and_keeps_no_key(fresh_store: Store) -> None:
    with an_api(fresh_store, queue_size=1, batch_size=1, workers=False) as api:
        api.open("cash", overdraft_limit=None)
        api.open("alice")
        with psycopg.connect(fresh_store.owner_dsn) as blocker:
            # Holding the append's lock makes every append wait.
            blocker.execute("SELECT pg_advisory_xact_lock(%s)", (EVENT_APPEND_LOCK,))
            with ThreadPoolExecutor(8) as pool:
                sent = [pool.submit(api.pay, "cash", "alice", 1, key=f"k{n}") for n in range(8)]
                while sum(each.done() for each in sent) < 6:
                    time.sleep(0.01)
                blocker.rollback()
                answers = [each.result() for each in sent]
        refused = [answer for answer in answers if answer.status_code == 503]
        # One waits; another is with the writer, unless all came before it had taken the first.
        assert len(refused) in (6, 7)
        assert {answer.json()["code"] for answer in refused} == {"overloaded"}
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
        again = [api.pay("cash", "alice", 1, key=f"k{n}") for n in range(8)]
        assert [answer.status_code for answer in again] == [201] * 8
        assert sum("Idempotent-Replayed" in answer.headers for answer in again) == 8 - len(refused)


def test_a_store_that_is_away_is_503_and_comes_back(fresh_store: Store) -> None:
    with an_api(fresh_store, workers=False, store_timeout_s=2) as api:
        api.open("cash", overdraft_limit=None)
        api.open("alice")
        with psycopg.connect(fresh_store.owner_dsn, autocommit=True) as owner:
            # Of this database alone: other tests have theirs on the same server.
            owner.execute(f"REVOKE CONNECT ON DATABASE {fresh_store.name} FROM PUBLIC")
            try:
                owner.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE usename = 'tally_app' AND datname = current_database()"
                )
                paid = api.pay("cash", "alice", 1, key="k")
                assert (paid.status_code, paid.json()["code"]) == (503, "store_unavailable")
                assert "Retry-After" in paid.headers
                for path in ("/readyz", "/v1/status", "/v1/events/1"):
                    read = api.get(path, role="auditor")
                    assert (read.status_code, read.json()["code"]) == (503, "store_unavailable")
                assert api.get("/livez").status_code == 200
            finally:
                owner.execute(f"GRANT CONNECT ON DATABASE {fresh_store.name} TO PUBLIC")
        assert api.pay("cash", "alice", 1, key="k").status_code == 201
