"""The product's public REST, spoken by its own commands. Every command is safe to send again."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from typing import Any, NamedTuple

import aiohttp
from yarl import URL

from api.cli.output import CannotRun
from api.cli.product import Product

_FIRST_WAIT_S = 0.05
_LONGEST_WAIT_S = 2.0
_REQUEST_TIMEOUT_S = 30.0
_BY_THE_LINE = aiohttp.ClientTimeout(total=None, sock_read=_REQUEST_TIMEOUT_S)
_UNREACHABLE = (aiohttp.ClientError, OSError, TimeoutError)


class Undecided(CannotRun):
    """The product gave no answer for too long: what was sent may have taken effect, or may yet."""


class Reply(NamedTuple):
    """What the product decided; `code` is the problem's where it is one."""

    status: int
    code: str | None
    known: bool
    """Whether it had been decided before this client first sent it."""
    body: bytes

    @property
    def ok(self) -> bool:
        return self.status < 300


class Client:
    """Speaks to one product with a bounded number of kept-alive connections."""

    def __init__(self, session: aiohttp.ClientSession, product: Product, retry_for_s: float):
        self._session = session
        self._retry_for_s = retry_for_s
        self._root = product.url
        self._urls: dict[str, URL] = {}
        self._product = product
        self._bearer = f"Bearer {product.key}"

    async def send(
        self,
        path: str,
        key: str | None,
        body: bytes,
        *,
        as_admin: bool = False,
        media_type: str = "application/json",
    ) -> Reply:
        """Sends a command until it is decided: no answer, 429 and 5xx are sent again.

        The key makes that safe; what records nothing has none. Raises Undecided where it stays so
        for `retry_for_s`.
        """
        bearer = f"Bearer {self._product.key_of_admin()}" if as_admin else self._bearer
        headers = {"Authorization": bearer, "Content-Type": media_type}
        if key is not None:
            headers["Idempotency-Key"] = key
        url = self._url(path)
        patience = _Patience(self._root, self._retry_for_s)
        while True:
            try:
                async with self._session.post(url, data=body, headers=headers) as response:
                    content = await response.read()
                    status = response.status
                    # After a lost answer a replay is of the command that this client sent.
                    known = not patience.tried and "Idempotent-Replayed" in response.headers
                    if status < 300:
                        return Reply(status, None, known, content)
                    code = _code(content)
                    if _is_decided(status):
                        return Reply(status, code, known, content)
                    trouble = f"it answers {status} {code}"
            except _UNREACHABLE as error:
                trouble = str(error) or type(error).__name__
            await patience.wait(trouble)

    async def send_lines(self, path: str, lines: Iterable[bytes]) -> AsyncGenerator[Reply, None]:
        """Sends commands, each with its key in it, until all are decided; gives each one's reply.

        From the first that is not decided on they are sent again, in the same order. Raises
        Undecided as `send` does, CannotRun where they are refused as a whole.
        """
        left = deque(lines)
        patience = _Patience(self._root, self._retry_for_s)
        while left:
            try:
                trouble = "it does not answer every line"
                async with aclosing(self._replies(path, left)) as replies:
                    async for reply in replies:
                        if not _is_decided(reply.status):
                            trouble = f"it answers {reply.status} {reply.code}"
                            break
                        left.popleft()
                        yield reply._replace(known=reply.known and not patience.tried)
            except _UNREACHABLE as error:
                trouble = str(error) or type(error).__name__
            if left:
                await patience.wait(trouble)

    async def _replies(self, path: str, lines: Iterable[bytes]) -> AsyncGenerator[Reply, None]:
        """As they come; where the connection breaks, those before have been given."""
        headers = {"Authorization": self._bearer, "Content-Type": "application/x-ndjson"}
        async with self._session.post(
            self._url(path), data=b"\n".join(lines), headers=headers, timeout=_BY_THE_LINE
        ) as response:
            if response.status != 200:
                code = _code(await response.read())
                if _is_decided(response.status):
                    raise CannotRun(f"the product answers {response.status} {code}")
                yield Reply(response.status, code, False, b"")
                return
            rest = b""
            async for some in response.content.iter_any():
                *whole, rest = (rest + some).split(b"\n")
                for line in whole:
                    told = json.loads(line)
                    yield Reply(told["status"], told.get("code"), told["replayed"], line)

    async def get(self, path: str) -> Any:
        """The JSON answer to a GET; raises CannotRun where there is none."""
        headers = {"Authorization": self._bearer, "Prefer": f"wait={_REQUEST_TIMEOUT_S - 5:.0f}"}
        try:
            async with self._session.get(self._url(path), headers=headers) as response:
                content = await response.read()
        except _UNREACHABLE as error:
            trouble = str(error) or type(error).__name__
            raise CannotRun(f"{self._root} can't be reached: {trouble}") from error
        if response.status != 200:
            raise CannotRun(f"{self._root}{path} answers {response.status} {_code(content)}")
        try:
            return json.loads(content)
        except ValueError:
            raise CannotRun(f"{self._root} is no Tallystick: its answer is no JSON") from None

    def _url(self, path: str) -> URL:
        url = self._urls.get(path)
        if url is None:
            url = URL(self._root + path)
            if len(self._urls) < 100:
                self._urls[path] = url
        return url


class _Patience:
    """How long to go on with a product that does not answer; each wait is longer."""

    def __init__(self, root: str, retry_for_s: float) -> None:
        self.tried = False
        """Whether something has been sent in vain."""
        self._root = root
        self._retry_for_s = retry_for_s
        self._deadline = 0.0
        self._wait_s = _FIRST_WAIT_S

    async def wait(self, trouble: str) -> None:
        """Raises Undecided, saying what the trouble is, where it has lasted too long."""
        now = asyncio.get_running_loop().time()
        if not self.tried:
            self.tried = True
            self._deadline = now + self._retry_for_s
        if now + self._wait_s > self._deadline:
            raise Undecided(f"{self._root} can't do its work: {trouble}")
        await asyncio.sleep(self._wait_s)
        self._wait_s = min(self._wait_s * 2, _LONGEST_WAIT_S)


@asynccontextmanager
async def connected(
    product: Product, *, connections: int = 10, retry_for_s: float = 10
) -> AsyncIterator[Client]:
    """A client of the product, as long as the block runs."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, ttl_dns_cache=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT_S),
        skip_auto_headers=("User-Agent", "Accept-Encoding"),
    ) as session:
        yield Client(session, product, retry_for_s)


def _is_decided(status: int) -> bool:
    return (status < 500 and status != 429) or status == 501


def _code(content: bytes) -> str:
    """The problem's code; a reply that is no problem of ours has none."""
    try:
        return str(json.loads(content)["code"])
    except (ValueError, KeyError, TypeError):
        return "without a code"
