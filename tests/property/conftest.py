"""Two ledgers on one store, for the model to be compared with."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.fixtures.fix_carrier_client import CarrierClient
from tests.fixtures.fix_ledger import Client, two_ledgers
from tests.fixtures.fix_postgres import Store
from tests.fixtures.fix_steps import Clock


@pytest.fixture
def clients(fresh_store: Store, clock: Clock) -> Iterator[tuple[Client, Client]]:
    # Whether a commit outlives a crash is for other tests; waiting for the disk is half the time.
    name = fresh_store.name
    with psycopg.connect(fresh_store.owner_dsn, autocommit=True) as conn:
        conn.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off'.encode())
    with two_ledgers(fresh_store, clock, CarrierClient) as both:
        yield both
