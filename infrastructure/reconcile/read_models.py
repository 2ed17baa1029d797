"""Every row of the read models against the replay, at the position where the read model stands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from psycopg import Connection

from domain.events import AccountOpened, PaymentDecided
from infrastructure.mapper import EventMapper
from infrastructure.reconcile.accounts import AccountReplay, Rows, opened_account
from infrastructure.reconcile.codes import code_rows
from infrastructure.reconcile.findings import Found, Row
from infrastructure.reconcile.payments import PaymentReplay, refusal_text
from infrastructure.reconcile.replay import CHUNK, Replay, payment_of
from infrastructure.reconcile.requests import request_rows
from infrastructure.reconcile.stored import stored_events

FETCH: Final = 5_000

_ACCOUNTS = """SELECT account, currency, normal_side, opened_at, opened_position, overdraft_limit,
    max_balance, metadata, limits, status, version, position FROM tally_read.accounts{g}"""
_BALANCES = """SELECT account, currency, normal_side, opened_position, position, version, posted,
    pending_debit, pending_credit, available, balanced_at FROM tally_read.balances{g}"""
_STATEMENTS = """SELECT account, currency, normal_side, opened_position
    FROM tally_read.statements_accounts{g}"""
_DAYS = "SELECT booking_date, first_position FROM tally_read.statements_days{g}"
_BY_ACCOUNT: Final = {
    "balances_history": """SELECT account, position, version, posted, pending_debit,
        pending_credit, available, balanced_at FROM tally_read.balances_history{g}""",
    "balances_holds": """SELECT account, opened_position, payment, posting, side, currency,
        counter_account, expires_at, amount, captured, "left", expired,
        position FROM tally_read.balances_holds{g}""",
    "balances_holds_history": """SELECT account, position, opened_position, captured, "left"
        FROM tally_read.balances_holds_history{g}""",
    "statements": """SELECT account, position, recorded_at, value_date, payment, side, amount,
        balance, counter_account, reference, debits, credits, off_debits, off_credits
        FROM tally_read.statements{g}""",
    "statements_off_days": """SELECT account, position, value_date, debits, credits
        FROM tally_read.statements_off_days{g}""",
}
"""The tables with many rows an account; the second column is a row's key in it."""
_PAYMENTS = """SELECT created_position, id, position, state, mode, carrier, reference, value_date,
    created_at, expires_at, execute_at, expired, refund_of, payment_request, postings,
    captured, refunded, metadata, refusal FROM tally_read.payments{g}"""
_REQUESTS = """SELECT id, created_position, credit_account, currency, reference, created_at,
    token_key, position, state, revision, amount, description, expires_in_s, expires_at, payment,
    metadata FROM tally_read.payments_requests{g}"""
_CODES: Final = {
    "payments_pay_codes": """SELECT id, issued_position, debit_account, currency, max_amount,
        confirm_above, expires_at, created_at, ended_position, payment
        FROM tally_read.payments_pay_codes{g}""",
    "payments_devices": """SELECT id, registered_position, handle, debit_account, currency,
        per_payment_max, offline_total_max, created_at FROM tally_read.payments_devices{g}""",
    "payments_devices_history": """SELECT device, position, state, offline_spent
        FROM tally_read.payments_devices_history{g}""",
}
_CARRIERS = """SELECT booking_date, carrier, currency, sum(payments), sum(amount) FROM (
    SELECT booking_date, carrier, currency, payments, amount FROM tally_read.payments_carriers{g}
    UNION ALL SELECT booking_date, carrier, currency, -payments, -amount
    FROM tally_read.payments_carriers_ahead{g} WHERE position > %(at)s) booked
    GROUP BY 1, 2, 3 HAVING sum(amount) <> 0"""
_PAYMENT_ACCOUNTS = "SELECT account, created_position FROM tally_read.payments_accounts{g}"


class ReadModels:
    """Compares one generation's tables, inside the transaction of its snapshot."""

    def __init__(
        self,
        connection: Connection[Any],
        store: Connection[Any],
        mapper: EventMapper,
        generation: int,
        found: Found,
    ) -> None:
        self._connection = connection
        self._store = store
        self._mapper = mapper
        self._generation = generation
        self._found = found
        self.rows = 0

    def accounts(self, replay: Replay) -> None:
        self._current(
            "accounts",
            _ACCOUNTS,
            {
                name: {
                    "currency": account.opened.currency,
                    "normal_side": account.opened.normal_side,
                    "opened_at": account.opened.timestamp,
                    "opened_position": account.opened_position,
                    "overdraft_limit": account.overdraft_limit,
                    "max_balance": account.max_balance,
                    "metadata": account.metadata,
                    "limits": account.limits,
                    "status": account.status,
                    "version": account.version,
                    "position": account.told_position,
                }
                for name, account in replay.accounts.items()
            },
        )

    def balances(self, replay: Replay) -> None:
        self._current(
            "balances",
            _BALANCES,
            {
                name: {
                    "currency": account.opened.currency,
                    "normal_side": account.opened.normal_side,
                    "opened_position": account.opened_position,
                    "position": account.position,
                    "version": account.version,
                    "posted": account.posted,
                    "pending_debit": account.told.pending_debit,
                    "pending_credit": account.told.pending_credit,
                    "available": account.available,
                    "balanced_at": account.balanced_at,
                }
                for name, account in replay.accounts.items()
            },
        )
        for table in ("balances_history", "balances_holds", "balances_holds_history"):
            self._by_account(table, replay)

    def statements(self, replay: Replay) -> None:
        self._current(
            "statements_accounts",
            _STATEMENTS,
            {
                name: {
                    "currency": account.opened.currency,
                    "normal_side": account.opened.normal_side,
                    "opened_position": account.opened_position,
                }
                for name, account in replay.accounts.items()
            },
        )
        self._current(
            "statements_days",
            _DAYS,
            {day: {"first_position": first} for day, first in replay.first_positions.items()},
        )
        for table in ("statements", "statements_off_days"):
            self._by_account(table, replay)

    def payments(self, replay: Replay) -> None:
        hashes: dict[int, int] = defaultdict(int)
        for row in self._stream(_PAYMENTS):
            hashes[row[0] // CHUNK] += hash(_payment(row))
        for chunk in _differing(hashes, replay.payment_hashes):
            rows = self._chunk(_PAYMENTS, chunk)
            told = {row[0]: _payment(row) for row in rows}
            should = {
                payment.created_position: payment.row()
                for payment in self._payments_of(chunk, replay.position)
            }
            ids = {position: str(row[1]) for position, row in {**told, **should}.items()}
            for position in sorted(ids):
                self._name(
                    f"payments {ids[position]}",
                    _columns(_PAYMENTS),
                    told.get(position),
                    should.get(position),
                )
        hashes = defaultdict(int)
        for account, position in self._stream(_PAYMENT_ACCOUNTS):
            hashes[position // CHUNK] ^= hash((account, position))
        for chunk in _differing(hashes, replay.payment_account_hashes):
            has = {
                (position, account) for account, position in self._chunk(_PAYMENT_ACCOUNTS, chunk)
            }
            should_have = {
                (payment.created_position, account)
                for payment in self._payments_of(chunk, replay.position)
                for account in payment.accounts
            }
            for position, account in sorted(has ^ should_have):
                missing = "is missing" if (position, account) in should_have else "is too much"
                self._found(f"payments_accounts {account}: position {position} {missing}")
        self._requests(replay)
        self._codes(replay)
        self._carriers(replay)

    def _carriers(self, replay: Replay) -> None:
        cursor = self._connection.execute(self._sql(_CARRIERS), {"at": replay.position})
        told = {(*key,): (int(payments), int(amount)) for *key, payments, amount in cursor}
        for key in sorted({*told, *replay.carriers}):
            what = "payments_carriers " + " ".join(map(str, key))
            sums = replay.carriers.get(key)
            should = None if sums is None else (sums[0], sums[1])
            self._name(what, ("payments", "amount"), told.get(key), should)

    def _requests(self, replay: Replay) -> None:
        rows = {
            (*plain, tuple(sorted(metadata.items())))
            for *plain, metadata in self._stream(_REQUESTS)
        }
        if sum(map(hash, rows)) == replay.requests.hash:
            return
        told = {row[0]: row for row in rows}
        rows = request_rows(self._store, self._mapper, replay.position)
        should = {row[0]: row for row in rows}
        for id in sorted({*told, *should}):
            what = f"payments_requests {id}"
            self._name(what, _columns(_REQUESTS), told.get(id), should.get(id))

    def _codes(self, replay: Replay) -> None:
        for table, query in _CODES.items():
            rows = set(self._stream(query))
            if sum(map(hash, rows)) == replay.codes.hashes[table]:
                continue
            should = set(code_rows(self._store, self._mapper, replay.position)[table])
            for row in sorted(rows ^ should, key=str):
                says = "should not be there, or not so" if row in rows else "missing, or not so"
                self._found(f"{table} {row[0]}: {says}")

    def _current(self, table: str, query: str, should: dict[Any, dict[str, Any]]) -> None:
        """One row a key, compared member by member."""
        seen = 0
        for key, *row in self._stream(query):
            columns = list(should.get(key, ()))
            expected = tuple(should[key].values()) if key in should else None
            seen += key in should
            self._name(f"{table} {key}", columns, tuple(row), expected)
        if seen == len(should):
            return
        keys = {row[0] for row in self._stream(query)}
        for key in should:
            if key not in keys:
                self._found(f"{table} {key}: missing")

    def _by_account(self, table: str, replay: Replay) -> None:
        """Many rows an account: a hash of them all, and row by row where it differs."""
        query = _BY_ACCOUNT[table]
        hashes = {name: account.hashes[table] for name, account in replay.accounts.items()}
        has: dict[str, int] = defaultdict(int)
        for account, *row in self._stream(query):
            has[account] += hash(tuple(row))
        columns = _columns(query)[1:]
        for account in _differing(has, hashes):
            should: dict[int, Row] = {}
            if account in replay.accounts:
                for rows in self._account_rows(replay.accounts[account], replay.position):
                    if table in rows:
                        should[rows[table][0]] = rows[table]
            cursor = self._connection.execute(
                self._sql(f"{query} WHERE account = %s"), (account,), binary=True
            )
            told = {row[1]: tuple(row[1:]) for row in cursor}
            for place in sorted({*told, *should}):
                self._name(
                    f"{table} {account} at {place}",
                    columns,
                    told.get(place),
                    should.get(place),
                )

    def _account_rows(self, account: AccountReplay, to: int) -> Iterator[Rows]:
        """An account's rows once more, from its own stream; later ones go before."""
        stream = account.opened.originator_id
        again: AccountReplay | None = None
        for position, event, *_ in stored_events(self._store, self._mapper, 0, to, stream):
            if isinstance(event, AccountOpened) and again is None:
                again = opened_account(position, event)
            if again is not None and event is not None:
                yield again.apply(position, event, lambda _: None)

    def _payments_of(self, chunk: int, to: int) -> Iterator[PaymentReplay]:
        first, last = chunk * CHUNK, min((chunk + 1) * CHUNK - 1, to)
        for _, event, stream, version, *_ in stored_events(
            self._store, self._mapper, first - 1, last
        ):
            if isinstance(event, PaymentDecided) and version == 1:
                payment = payment_of(self._store, self._mapper, stream, to)
                if payment is not None:
                    yield payment

    def _chunk(self, query: str, chunk: int) -> list[Any]:
        return self._connection.execute(
            self._sql(f"{query} WHERE created_position >= %s AND created_position < %s"),
            (chunk * CHUNK, (chunk + 1) * CHUNK),
            binary=True,
        ).fetchall()

    def _name(
        self,
        what: str,
        columns: Sequence[str],
        told: tuple[Any, ...] | None,
        should: tuple[Any, ...] | None,
    ) -> None:
        if told == should:
            return
        if told is None or should is None:
            self._found(f"{what}: {'missing' if told is None else 'should not be there'}")
            return
        for column, is_, expected in zip(columns, told, should, strict=True):
            if is_ != expected:
                self._found(f"{what}: {column} {is_}, should be {expected}")

    def _stream(self, query: str) -> Iterator[tuple[Any, ...]]:
        with self._connection.cursor("reconcile", scrollable=False) as cursor:
            cursor.itersize = FETCH
            cursor.execute(self._sql(query), binary=True)
            for row in cursor:
                self.rows += 1
                yield row

    def _sql(self, query: str) -> bytes:
        return query.replace("{g}", f"_g{self._generation}").encode()


def _columns(query: str) -> list[str]:
    names = query.removeprefix("SELECT").partition("FROM")[0]
    return [name.strip() for name in names.split(",")]


def _differing(told: dict[Any, int], should: dict[Any, int]) -> Iterable[Any]:
    return sorted(key for key in {*told, *should} if told.get(key, 0) != should.get(key, 0))


def _payment(row: Sequence[Any]) -> Row:
    *plain, postings, captured, refunded, metadata, refusal = row
    return (
        *plain,
        tuple(tuple(posting) for posting in postings),
        tuple(captured),
        tuple(refunded),
        tuple(sorted(metadata.items())),
        refusal_text(refusal),
    )
