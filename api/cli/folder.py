"""The folder of `tally up`: what it keeps there, and who may read it.

DIR/pg/              embedded PostgreSQL; pg.lock and pg.users say who uses it
DIR/owner-password   of the embedded server's owner, 0600
DIR/password         of the role tally_app, 0600
DIR/dsn              of tally_app on a server of the operator's own, with its password, 0600
DIR/secret           TALLY_SECRET of this store, 0600
DIR/keys.json        one API key per role, 0600
DIR/server.json      {"url", "pid", "parts": {name: pid}} while `tally up` runs
DIR/logs/            one log per part
DIR/lock             held while `tally up` runs
"""

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from api.cli.output import CannotRun
from infrastructure.private_files import kept_secret, try_lock, write_private


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """A place for a folder of `tally up` that is gone with all it holds when the block ends."""
    with tempfile.TemporaryDirectory(prefix=f"tally-{name}-") as place:
        # As root, the embedded server runs as another user, who has to get through.
        Path(place).chmod(0o711)
        yield Path(place) / "tally"


class Folder:
    """A folder of `tally up`."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.logs = self.path / "logs"
        self.keys_file = self.path / "keys.json"
        self.dsn_file = self.path / "dsn"
        self.server_file = self.path / "server.json"
        self.private_files = (
            self.keys_file,
            self.dsn_file,
            *(self.path / name for name in ("secret", "password", "owner-password")),
        )
        """Nobody else may read them."""

    def make(self) -> None:
        """Makes it unless it is there. Raises CannotRun."""
        try:
            if not self.path.exists():
                self.path.mkdir(parents=True)
                # As root, the embedded server runs as another user, who has to get through.
                self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)
            self.logs.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise CannotRun(f"{self.path} can't be made: {error.strerror}") from error

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Keeps others from running the folder, as long as the block runs. Raises CannotRun."""
        with (self.path / "lock").open("a") as lock:
            if not try_lock(lock.fileno(), fcntl.LOCK_EX):
                pid = (self.server() or {}).get("pid", "unknown, it is starting")
                raise CannotRun(f"`tally up` runs on {self.path} already (pid {pid})")
            yield

    def password(self) -> str:
        """Password of tally_app, made at the first start."""
        return kept_secret(self.path / "password")

    def secret(self) -> str:
        """Secret of this store, made at the first start."""
        return kept_secret(self.path / "secret")

    def server(self) -> dict[str, Any] | None:
        """What the running `tally up` says of itself; None where none does."""
        try:
            found: dict[str, Any] = json.loads(self.server_file.read_text())
        except (OSError, ValueError):
            return None
        return found

    def publish(self, *, url: str, parts: dict[str, int]) -> None:
        """Says where the product is, and the pid of each of its parts."""
        server = {"url": url, "pid": os.getpid(), "parts": parts}
        write_private(self.server_file, json.dumps(server) + "\n")

    def keys(self) -> dict[str, str] | None:
        """The API keys by role; None before the first start."""
        try:
            found: dict[str, str] = json.loads(self.keys_file.read_text())
        except FileNotFoundError:
            return None
        return found

    def keep_keys(self, keys: dict[str, str]) -> None:
        write_private(self.keys_file, json.dumps(keys, indent=1) + "\n")

    def keep_dsn(self, dsn: str) -> None:
        write_private(self.dsn_file, dsn + "\n")
