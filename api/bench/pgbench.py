"""pgbench beside us: TPC-B, prepared statements, on the same server over its Unix socket.

Its transaction is three updates, a select and an insert, committed one by one: what a ledger that
commits each payment for itself asks of the same machine, without any HTTP.
"""

from __future__ import annotations

import os
import re
import subprocess
from typing import Any, Final

from psycopg.conninfo import conninfo_to_dict

from api.cli.output import CannotRun
from infrastructure.embedded import EmbeddedPostgres

SCALE: Final = 32
"""Branches: with fewer than clients these would wait for each other's rows."""
_THREADS: Final = 2
_TPS: Final = re.compile(r"^tps = ([\d.]+)", re.MULTILINE)


class Pgbench:
    """On a database of its own."""

    def __init__(self, server: EmbeddedPostgres, owner_dsn: str) -> None:
        assert server.bin is not None
        self._program = server.bin / "pgbench"
        self._dsn: dict[str, Any] = conninfo_to_dict(owner_dsn)
        self._run("--initialize", f"--scale={SCALE}", "--quiet", within_s=120)

    def rate(self, *, clients: int, seconds: float) -> float:
        """Transactions a second."""
        said = self._run(
            "--protocol=prepared",
            "--no-vacuum",
            f"--client={clients}",
            f"--jobs={min(_THREADS, clients)}",
            f"--time={max(1, round(seconds))}",
            within_s=seconds + 60,
        )
        tps = _TPS.search(said)
        if tps is None:
            raise CannotRun(f"pgbench says something unexpected: {said.strip()[-200:]}")
        return float(tps[1])

    def _run(self, *arguments: str, within_s: float) -> str:
        where = {
            "PGHOST": self._dsn["host"],
            "PGPORT": self._dsn["port"],
            "PGUSER": self._dsn["user"],
            "PGPASSWORD": self._dsn["password"],
            "PGDATABASE": self._dsn["dbname"],
        }
        done = subprocess.run(  # noqa: S603 (a program of ours)
            [self._program, *arguments],
            env=os.environ | {"LC_ALL": "C"} | where,
            capture_output=True,
            text=True,
            check=False,
            timeout=within_s,
        )
        if done.returncode:
            raise CannotRun(f"pgbench ended with {done.returncode}: {done.stderr.strip()[-200:]}")
        return done.stdout
