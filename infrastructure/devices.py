"""Devices' secrets: sealed in a table of their own, and opened to check an offline code.

The key is HKDF-SHA-256 of the server secret; the sealing is AES-256-GCM with the device's id and
handle as associated data, so that a row means nothing under another id. While the secret is being
changed rows are opened by both, and sealed anew by the present one.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import b32encode
from datetime import datetime
from functools import cache
from typing import Final, NamedTuple
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from domain.code_digits import is_code, with_check_digit
from domain.device import SKEW, step_at
from infrastructure.secret import Secrets

SECRET_BYTES: Final = 20
HANDLE_DIGITS: Final = 7
CODE_DIGITS: Final = 12
LOOKED_AT: Final = SKEW + 1
"""Steps before and after the present one that a code is compared with: the ledger decides a moment
later, and which of them count then."""

_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
_TRIES: Final = 20
"""To find a handle that is free: of ten million, with one million devices, twenty in a row are
taken once in 10^20 registrations."""


class Made(NamedTuple):
    """What a device is given when it is registered."""

    handle: str
    secret: str
    """Base32 of its 20 random bytes: shown this once."""


class Shown(NamedTuple):
    """What an offline code comes to."""

    device: UUID
    step: int | None
    """That it was made for; None: the device didn't make it."""


class NoHandleFree(Exception):
    """Every handle that was tried is taken."""


class Devices:
    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[TupleRow]],
        secrets: Secrets,
        *,
        prefix: str,
    ) -> None:
        self._pool = pool
        self._secrets = secrets
        self._prefix = prefix

    async def make(self, device: UUID) -> Made:
        """Keeps a secret for the device; one that an earlier, undecided try has made is its own.

        Raises NoHandleFree.
        """
        async with self._pool.connection() as conn:
            for _ in range(_TRIES):
                handle = random_handle()
                sealed = self._seal(device, handle, secrets.token_bytes(SECRET_BYTES))
                await conn.execute(
                    b"INSERT INTO tally.device_secrets (device, handle, sealed)"
                    b" VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                    (device, handle, sealed),
                )
                cursor = await conn.execute(
                    b"SELECT handle, sealed FROM tally.device_secrets WHERE device = %s", (device,)
                )
                if row := await cursor.fetchone():
                    secret = self._opened(device, row[0], row[1])[0]
                    return Made(row[0], b32encode(secret).decode())
        raise NoHandleFree

    async def forget(self, device: UUID) -> None:
        """Of a device that was not registered after all."""
        async with self._pool.connection() as conn:
            await conn.execute(b"DELETE FROM tally.device_secrets WHERE device = %s", (device,))

    def may_be_of_one(self, text: str) -> bool:
        """Whether the text has the form of a device's code."""
        return text.startswith(self._prefix) and is_code(text)

    async def shown(self, text: str, now: datetime) -> Shown | None:
        """Which device a code is of, and made it when; None where it is of none."""
        if not self.may_be_of_one(text):
            return None
        handle = text[len(self._prefix) :][:HANDLE_DIGITS]
        async with self._pool.connection() as conn:
            cursor = await conn.execute(
                b"SELECT device, sealed FROM tally.device_secrets WHERE handle = %s",
                (handle,),
                prepare=True,
            )
            row = await cursor.fetchone()
            if row is None:
                return None
            device, sealed = row
            secret, is_present = self._opened(device, handle, sealed)
            if not is_present:
                await self._seal_anew(conn, device, handle, secret, sealed)
        made_for = None
        for step in range(step_at(now) - LOOKED_AT, step_at(now) + LOOKED_AT + 1):
            code = offline_code(self._prefix, handle, secret, step)
            if hmac.compare_digest(code, text):
                made_for = step
        return Shown(device, made_for)

    async def seal_all_anew(self) -> None:
        """While the secret is being changed: of the devices that nobody uses meanwhile too."""
        if len(self._secrets.live) < 2:
            return
        async with self._pool.connection() as conn:
            cursor = await conn.execute(b"SELECT device, handle, sealed FROM tally.device_secrets")
            for device, handle, sealed in await cursor.fetchall():
                secret, is_present = self._opened(device, handle, sealed)
                if not is_present:
                    await self._seal_anew(conn, device, handle, secret, sealed)

    async def _seal_anew(
        self,
        conn: AsyncConnection[TupleRow],
        device: UUID,
        handle: str,
        secret: bytes,
        sealed: bytes,
    ) -> None:
        await conn.execute(
            b"UPDATE tally.device_secrets SET sealed = %s WHERE device = %s AND sealed = %s",
            (self._seal(device, handle, secret), device, sealed),
        )

    def _seal(self, device: UUID, handle: str, secret: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        cipher = _cipher(self._secrets.current)
        return nonce + cipher.encrypt(nonce, secret, _row(device, handle))

    def _opened(self, device: UUID, handle: str, sealed: bytes) -> tuple[bytes, bool]:
        """The device's secret, and whether the present server secret had sealed it."""
        nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        current, *before = self._secrets.live
        try:
            return _cipher(current).decrypt(nonce, ciphertext, _row(device, handle)), True
        except InvalidTag:
            for secret in before:
                return _cipher(secret).decrypt(nonce, ciphertext, _row(device, handle)), False
            raise


def random_handle() -> str:
    return f"{secrets.randbelow(10**HANDLE_DIGITS):0{HANDLE_DIGITS}}"


def offline_code(prefix: str, handle: str, secret: bytes, step: int) -> str:
    """The 24 digits that a device makes for a step of time (Unix time // 30)."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), "sha256")
    number = int.from_bytes(digest[:8], "big") % 10**CODE_DIGITS
    return with_check_digit(f"{prefix}{handle}{number:0{CODE_DIGITS}}")


@cache
def _cipher(secret: str) -> AESGCM:
    key = HKDF(SHA256(), _KEY_BYTES, salt=None, info=b"tallystick device secrets")
    return AESGCM(key.derive(secret.encode()))


def _row(device: UUID, handle: str) -> bytes:
    return device.bytes + handle.encode()
