"""Logs: one JSON object a line on stderr, through the standard library's logging.

    {"time": "2026-11-24T18:52:00.000001Z", "level": "info", "logger": "api.edge",
     "message": "…", "request_id": "…", …}

What is passed as `extra` becomes members of its own.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, Final, TextIO

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

_SECRETS: Final = re.compile(r"(?P<kind>\btk_|password\s*=\s*|://[^:/@\s]*:)[^\s\"'\\@&]+")
"""API keys, and passwords in DSNs of either form: no message of ours holds one, but others' may."""


class JsonLines(logging.Formatter):
    """Formats a record as one line; what looks like a key or a password is left out."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time_of(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return without_secrets(json.dumps(line, default=str, ensure_ascii=False))


def without_secrets(text: str) -> str:
    """What looks like a key or a password is left out."""
    return _SECRETS.sub(r"\g<kind>…", text)


def time_of(seconds: float) -> str:
    """As a line tells it, of Unix time."""
    at = datetime.fromtimestamp(seconds, UTC)
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def configure_logging(level: str, stream: TextIO | None = None) -> None:
    """All loggers write JSON lines to stderr (or `stream`), from that level on; once a process."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"  # the API logs requests itself
