"""What is told of every request once it is answered: a line of the log, and the metrics."""

import asyncio
import logging
import sys
import time
from typing import Final

from api.auth import Caller
from api.metrics import Metrics
from infrastructure.logs import json_line

_log: Final = logging.getLogger("tally.access")


class AccessLog:
    """Lines like those of the other loggers, written by the batch: through the standard library's
    records, line by line, they took a sixth of a payment's time."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lines: list[str] = []

    def tell(
        self,
        *,
        request_id: str,
        method: str,
        route: str,
        status: int,
        took_s: float,
        caller: Caller | None,
    ) -> None:
        """`route` is a template (`/v1/accounts/{id}`), never the path itself."""
        self._metrics.answered(method, route, status, took_s)
        if not _log.isEnabledFor(logging.INFO):
            return
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._write)
        self._lines.append(
            json_line(
                time.time(),
                "info",
                _log.name,
                "request",
                request_id=request_id,
                method=method,
                route=route,
                status=status,
                ms=round(took_s * 1000, 2),
                caller=caller.name if caller else None,
            )
        )

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        sys.stderr.flush()
