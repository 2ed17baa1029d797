"""The requests of a load, encoded before they are needed.

A script is one connection's: it gives a request and is sent the whole answer to it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain, count, islice
from typing import Final
from urllib.parse import urlsplit

from api.bench.jobs import HOT, Job

Script = Generator[bytes, bytes, None]

_ENCODED_A_SECOND: Final = 12_000
_ENCODED_AT_MOST: Final = 200_000
"""About 70 MB; what goes beyond is encoded on the way, for some microseconds each."""
_LARGEST: Final = 100_000
"""Of an amount, in minor units."""
_ID: Final = b'"id":"'


class Requests:
    """Encodes what the crew of that number sends."""

    def __init__(self, job: Job, number: int) -> None:
        self._job = job
        self._crew = job.crews[number]
        self._run = f"{job.run}-{number}"
        self._random = random.Random(self._run).random  # noqa: S311 (amounts, no secrets)
        self._numbers = count()
        self._host = urlsplit(job.url).netloc
        lasts_s = job.warm_s + job.seconds
        self._ahead = min(int(_ENCODED_A_SECOND * lasts_s), _ENCODED_AT_MOST)

    def scripts(self) -> Iterator[Script]:
        """One for each connection."""
        begin = SCRIPTS[self._crew.does](self)
        return (begin() for _ in range(self._crew.connections))

    def openings(self) -> Callable[[], Script]:
        """Opens all accounts, which may owe as much as they like."""
        head = self._post("/v1/accounts")
        body = '{{"id":"{}{}","currency":"EUR","overdraft_limit":null}}'
        return _shared(
            self._command(head, body.format(self._job.prefix, name).encode())
            for name in chain(range(self._job.accounts), [HOT])
        )

    def spread(self) -> Callable[[], Script]:
        """Payments of a random amount from a random account to another one."""
        head = self._post("/v1/payments")
        return self._encoded(self._command(head, self._payment(self._account())) for _ in count())

    def pairs(self) -> Callable[[], Script]:
        """A payment from every second account to the next one: so each is paid with once."""
        head, accounts = self._post("/v1/payments"), self._job.accounts
        return self._encoded(
            self._command(head, self._payment(str((debit + 1) % accounts), debit=str(debit)))
            for debit in range(0, accounts, 2)
        )

    def hot(self) -> Callable[[], Script]:
        """Payments from random accounts to the one hot one."""
        head = self._post("/v1/payments")
        return self._encoded(self._command(head, self._payment(HOT)) for _ in count())

    def bulk(self) -> Callable[[], Script]:
        """Bodies of many payments between random accounts."""
        head = self._post("/v1/payments/bulk", content_type="application/x-ndjson", keyed=False)
        lines = range(self._job.lines)
        return self._encoded(
            (
                _with_body(
                    head,
                    b"\n".join(
                        b'{"idempotency_key":"%b",%b'
                        % (self._key(), self._payment(self._account())[1:])
                        for _ in lines
                    ),
                )
                for _ in count()
            ),
            each=self._job.lines,
        )

    def holds(self) -> Callable[[], Script]:
        """A hold, then its capture, and so on."""
        head = self._post("/v1/payments")
        held = self._encoded(
            self._command(head, self._payment(self._account(), b',"mode":"hold"}')) for _ in count()
        )

        def script() -> Script:
            for hold in held():
                answer = yield hold
                begin = answer.index(_ID) + len(_ID)
                payment = answer[begin : answer.index(b'"', begin)].decode()
                yield self._command(self._post(f"/v1/payments/{payment}/capture"), b"{}")

        return script

    def pay_codes(self) -> Callable[[], Script]:
        """Payments by the codes that there are, to the hot account: a shop's till."""
        head = self._post("/v1/payments")
        body = b'{"pay_code":"%b","postings":[{"credit":"%bhot","amount":1,"currency":"EUR"}]}'
        prefix = self._job.prefix.encode()
        return self._encoded(
            self._command(head, body % (code.encode(), prefix)) for code in self._job.codes
        )

    def reads(self) -> Callable[[], Script]:
        """By turns an account's balance, a payment, and a page of an account's statement."""
        job, today = self._job, datetime.now(UTC).date()
        period = f"from={today - timedelta(days=1)}&to={today + timedelta(days=2)}"

        def paths() -> Iterator[str]:
            while True:
                account = f"/v1/accounts/{job.prefix}{self._account()}"
                yield f"{account}/balance"
                yield f"/v1/payments/{job.payments[int(self._random() * len(job.payments))]}"
                yield f"{account}/statement?{period}"

        return self._encoded(self._head("GET", path) + b"\r\n" for path in paths())

    def _account(self) -> str:
        return str(int(self._random() * self._job.accounts))

    def _payment(self, credit: str, end: bytes = b"}", *, debit: str | None = None) -> bytes:
        debit = debit or credit
        while debit == credit:
            debit = self._account()
        prefix = self._job.prefix.encode()
        amount = 1 + int(self._random() * _LARGEST)
        return b'{"postings":[{"debit":"%b%b","credit":"%b%b","amount":%d,"currency":"EUR"}]%b' % (
            prefix, debit.encode(), prefix, credit.encode(), amount, end,
        )  # fmt: skip

    def _key(self) -> bytes:
        return b"%b-%d" % (self._run.encode(), next(self._numbers))

    def _command(self, head: bytes, body: bytes) -> bytes:
        return _with_body(head + self._key() + b"\r\n", body)

    def _head(self, method: str, path: str) -> bytes:
        bearer = f"Authorization: Bearer {self._job.key}\r\n"
        return f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\n{bearer}".encode()

    def _post(
        self, path: str, *, content_type: str = "application/json", keyed: bool = True
    ) -> bytes:
        content = f"Content-Type: {content_type}\r\n{'Idempotency-Key: ' if keyed else ''}"
        return self._head("POST", path) + content.encode()

    def _encoded(self, requests: Iterator[bytes], each: int = 1) -> Callable[[], Script]:
        """Connections take their requests from one supply, most of it made before the start."""
        requests = islice(requests, self._crew.at_most)
        made = list(islice(requests, self._ahead // each + 1))
        return _shared(chain(made, requests))


def _shared(requests: Iterator[bytes]) -> Callable[[], Script]:
    def script() -> Script:
        for request in requests:  # noqa: UP028 (`requests` takes no answers)
            yield request

    return script


def _with_body(head: bytes, body: bytes) -> bytes:
    return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)


SCRIPTS: Final[dict[str, Callable[[Requests], Callable[[], Script]]]] = {
    "openings": Requests.openings,
    "pairs": Requests.pairs,
    "spread": Requests.spread,
    "hot": Requests.hot,
    "bulk": Requests.bulk,
    "holds": Requests.holds,
    "pay codes": Requests.pay_codes,
    "reads": Requests.reads,
}
