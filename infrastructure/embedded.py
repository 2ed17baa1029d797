"""The embedded PostgreSQL: our own cluster under DIR, from the binaries of a wheel.

For development and small installations. It listens on a Unix socket in a private folder alone,
asks for a password (scram-sha-256), and is shared by the processes that use the same DIR: the
first one starts it, the last one to call `stop` stops it. It survives the death of who started
it, and is found again by its pid file.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psycopg
from psycopg.conninfo import make_conninfo

from infrastructure.embedded_memory import machine_mb, shared_buffers_mb
from infrastructure.embedded_pid import Running, command, disown, running
from infrastructure.embedded_place import (
    STATE,
    EmbeddedFailed,
    binaries,
    home,
    make_private,
    run,
    server_user,
    socket_folder,
)
from infrastructure.private_files import held, kept_secret, try_lock

SUPERUSER: Final = "postgres"
DATABASE: Final = "tally"

_INITDB: Final = (
    f"--username={SUPERUSER}",
    "--auth-local=scram-sha-256",
    "--auth-host=reject",
    "--data-checksums",
    "--no-locale",
    "--encoding=UTF8",
    "--no-instructions",
)

_SETTINGS: Final = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    # Fewer checkpoints, so fewer whole pages in the log; bounded by what a laptop can spare.
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    # What was answered is on disk: given here, so that no file can turn them off.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "jit": "off",
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # A file a weekday, begun anew each week.
    "logging_collector": "on",
    "log_directory": "log",
    "log_filename": "postgresql-%a.log",
    "log_truncate_on_rotation": "on",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_checkpoints": "off",
}


class EmbeddedPostgres:
    """A PostgreSQL server with its data under `directory`/pg.

    `version` is 18 or 16 (tests use the latter). `max_connections` counts from the next time
    that the server begins. `state` is where data and binaries go that the server's user could
    not reach otherwise. Nothing happens before `start`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        version: int = 18,
        max_connections: int = 100,
        state: Path = STATE,
    ) -> None:
        self.directory = directory.absolute()
        self.version = version
        self.bin: Path | None = None
        """The folder of `postgres`, `psql`, `pg_basebackup` …; known once started."""
        self._settings = _SETTINGS | {
            "max_connections": str(max_connections),
            "shared_buffers": f"{shared_buffers_mb(machine_mb())}MB",
        }
        self._state = state
        self._user = server_user()
        self._dsn: str | None = None
        self._in_use: int | None = None

    @property
    def owner_dsn(self) -> str:
        """A superuser's DSN on database `tally`, as a conninfo string; holds the password."""
        assert self._dsn is not None, "not started"
        return self._dsn

    @property
    def pid(self) -> int | None:
        """The server's process id; None where none runs."""
        found = running(self.data)
        return found.pid if found else None

    @property
    def data(self) -> Path:
        return self.directory / "pg"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self, *, timeout_s: float = 60.0) -> str:
        """Starts the server, or finds the one that runs; gives the owner's DSN.

        It returns when the server answers. Raises EmbeddedFailed.
        """
        with suppress(FileExistsError):  # from before, or by another process just now
            self.directory.mkdir(parents=True)
            # Ours: as root, the server's user has to get through, but not to look.
            self.directory.chmod(0o700 if self._user is None else 0o711)
        try:
            with held(self.directory / "pg.lock", timeout_s=timeout_s):
                self._start(timeout_s)
        except (OSError, psycopg.Error, subprocess.SubprocessError) as error:
            raise EmbeddedFailed(
                f"the embedded PostgreSQL under {self.data} did not start: {error}"
            ) from error
        return self.owner_dsn

    def stop(self, *, timeout_s: float = 30.0) -> bool:
        """Stops the server, whoever started it, unless another process still uses it.

        Fast, then immediate, then by force: it returns after `timeout_s` + 15 s at most. Gives
        whether the server is down.
        """
        if not self.directory.exists():
            return True
        with held(self.directory / "pg.lock", timeout_s=timeout_s):
            if self._in_use is not None:
                os.close(self._in_use)
                self._in_use = None
            with (self.directory / "pg.users").open("a") as users:
                if not try_lock(users.fileno(), fcntl.LOCK_EX):
                    return False
            self._dsn = None
            return self._stop(timeout_s)

    def _start(self, timeout_s: float) -> None:
        base = home(self.directory, user=self._user, state=self._state)
        self.bin = binaries(self.version, user=self._user, state=self._state)
        password = kept_secret(self.directory / "owner-password")
        self._initialise(base, password)
        began = running(self.data) is None
        try:
            server = self._launched(base, timeout_s) if began else self._ready(None, timeout_s)
            self._dsn = self._connectable(server.socket_folder, password)
        except BaseException:
            if began:
                self._stop(5.0)
            raise
        if self._in_use is None:
            self._in_use = os.open(self.directory / "pg.users", os.O_WRONLY | os.O_CREAT, 0o600)
            fcntl.flock(self._in_use, fcntl.LOCK_SH)

    def _initialise(self, base: Path, password: str) -> None:
        """initdb into a folder beside it, then a rename: half a cluster is never taken for one."""
        if (self.data / "PG_VERSION").exists():
            found = (self.data / "PG_VERSION").read_text().strip()
            if found != str(self.version):
                raise EmbeddedFailed(
                    f"{self.data} is of PostgreSQL {found}, this is {self.version}: take it over "
                    "with pg_dump and pg_restore"
                )
            return
        assert self.bin is not None
        draft, given = base / "pg.new", base / "pg.password"
        if draft.exists():
            shutil.rmtree(draft)
        make_private(draft, self._user)
        try:
            given.touch(mode=0o600)
            given.write_text(password)
            if self._user is not None:
                os.chown(given, self._user.uid, self._user.gid)
            made = run(
                [self.bin / "initdb", "-D", draft, f"--pwfile={given}", *_INITDB],
                user=self._user,
                timeout_s=120,
                cwd=draft,
            )
        finally:
            given.unlink(missing_ok=True)
        if made.returncode != 0:
            shutil.rmtree(draft)
            raise EmbeddedFailed(f"initdb failed: {made.stderr.strip()}")
        draft.rename(base / "pg")

    def _launched(self, base: Path, timeout_s: float) -> Running:
        """Starts the server; after a crash, its orphans may have to end first."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return self._ready(self._launch(base), timeout_s)
            except EmbeddedFailed as error:
                orphans = "shared memory block" in str(error) and "still in use" in str(error)
                if not orphans or time.monotonic() > deadline:
                    raise
            time.sleep(0.2)

    def _launch(self, base: Path) -> int:
        """Gives the pid of the new server: an orphan, so that we need not reap it."""
        assert self.bin is not None
        sockets = socket_folder(base, self._user)
        # Of a dead server (see `running`): PostgreSQL takes a zombie's for a live one's.
        disown(self.data)
        for left in sockets.glob(".s.PGSQL.*"):
            left.unlink()
        server: list[str | Path] = [self.bin / "postgres", "-D", self.data.resolve(), "-k", sockets]
        options = [
            part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")
        ]
        with (self.directory / "pg.start.log").open("w") as log:
            begun = run(
                ["/bin/sh", "-c", '"$@" >&2 & echo $!', "sh", *server, *options],
                user=self._user,
                timeout_s=10,
                cwd=base / "pg",
                stderr=log,
            )
        return int(begun.stdout)

    def _ready(self, launched: int | None, timeout_s: float) -> Running:
        """Waits until the server takes connections."""
        deadline = time.monotonic() + timeout_s
        missed = 0
        while not ((found := running(self.data)) and found.ready):
            gone = found is None and (launched is None or not command(launched))
            missed = missed + 1 if gone else 0
            if missed > 1:  # once, it may just be becoming PostgreSQL: in an exec it has no command
                raise EmbeddedFailed(f"PostgreSQL ended at its start: {self._last_words()}")
            if time.monotonic() > deadline:
                raise EmbeddedFailed(f"PostgreSQL was not ready within {timeout_s:g} s")
            time.sleep(0.02)
        return found

    def _connectable(self, sockets: Path, password: str) -> str:
        """The DSN, proved by a connection to our own data; makes the database the first time."""
        common = {"host": str(sockets), "port": "5432", "user": SUPERUSER, "password": password}
        dsn = make_conninfo("", dbname=DATABASE, **common)
        postgres = make_conninfo("", dbname="postgres", connect_timeout="10", **common)
        with psycopg.connect(postgres, autocommit=True) as conn:
            row = conn.execute("SELECT current_setting('data_directory')").fetchone()
            assert row is not None
            if Path(row[0]).resolve() != self.data.resolve():
                raise EmbeddedFailed(f"the server at {sockets} serves {row[0]}, not {self.data}")
            made = conn.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,))
            if made.fetchone() is None:
                conn.execute(f"CREATE DATABASE {DATABASE}")
        return dsn

    def _stop(self, timeout_s: float) -> bool:
        server = running(self.data)
        if server is None:
            return True
        for by, patience_s in (
            (signal.SIGINT, timeout_s),
            (signal.SIGQUIT, 10.0),
            (signal.SIGKILL, 5.0),
        ):
            with suppress(ProcessLookupError):
                os.kill(server.pid, by)
            deadline = time.monotonic() + patience_s
            while time.monotonic() < deadline:
                if running(self.data) is None:
                    self._tidy(server.socket_folder)
                    return True
                time.sleep(0.02)
        return False

    def _tidy(self, sockets: Path) -> None:
        """Removes a socket's folder that had to be elsewhere than under DIR."""
        if sockets.parent != self.data.resolve().parent and sockets.name.startswith("tallystick-"):
            shutil.rmtree(sockets, ignore_errors=True)

    def _last_words(self) -> str:
        logs = sorted((self.data / "log").glob("*.log"), key=lambda file: file.stat().st_mtime)
        texts = [file.read_text(errors="replace") for file in logs[-1:]]
        texts.append((self.directory / "pg.start.log").read_text(errors="replace"))
        return " / ".join(line for text in texts for line in text.splitlines()[-3:])
