"""Files that only their owner may read: passwords, the server secret, API keys."""

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def write_private(path: Path, content: str | bytes) -> None:
    """Replaces the file as a whole, mode 0600 from the first byte; on disk when it returns."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def kept_secret(path: Path) -> str:
    """The secret kept in the file; a new one (256 random bits, 43 characters) the first time.

    Whoever may race another process for the first time holds a lock (`held`).
    """
    with suppress(FileNotFoundError):
        return path.read_text(encoding="utf-8").strip()
    write_private(path, secrets.token_urlsafe(32) + "\n")
    return path.read_text(encoding="utf-8").strip()


@contextmanager
def held(path: Path, *, timeout_s: float) -> Iterator[None]:
    """Holds the file as a lock between processes; it ends with its holder, however that ends.

    Raises TimeoutError.
    """
    deadline = time.monotonic() + timeout_s
    with path.open("a") as file:
        while not try_lock(file.fileno(), fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise TimeoutError(f"another process has held {path} for {timeout_s:g} s")
            time.sleep(0.02)
        try:
            yield
        finally:
            fcntl.flock(file.fileno(), fcntl.LOCK_UN)


def try_lock(descriptor: int, kind: int) -> bool:
    """Takes the lock (LOCK_EX or LOCK_SH) where nobody is in the way, without waiting."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
