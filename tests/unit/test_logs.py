"""Logs: JSON lines without secrets."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from infrastructure.logs import configure_logging


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging("info", stream)
    yield stream
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = handlers, level


def _only(lines: io.StringIO) -> dict[str, Any]:
    (line,) = lines.getvalue().splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_record_is_one_json_line_in_utc(lines: io.StringIO) -> None:
    logging.getLogger("api.edge").info("served\n%s", "a thing", extra={"request_id": "r1"})
    line = _only(lines)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "api.edge",
        "message": "served\na thing",
        "request_id": "r1",
    }


def test_what_is_below_the_level_is_left_out(lines: io.StringIO) -> None:
    logging.getLogger("api").debug("detail")
    assert lines.getvalue() == ""


def test_an_exception_stays_on_its_line(lines: io.StringIO) -> None:
    try:
        raise ValueError("no")
    except ValueError:
        logging.getLogger("api").exception("failed")
    assert "ValueError: no" in _only(lines)["exception"]


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer tk_hush-hush_1",
        "connecting to host=/run password=hush-hush_1 user=tally_app",
        "connecting to postgresql://tally_app:hush-hush_1@db/tally",
    ],
)
def test_keys_and_passwords_are_left_out(lines: io.StringIO, text: str) -> None:
    logging.getLogger("api").warning(text, extra={"more": [text]})
    assert "hush" not in lines.getvalue()
    assert "…" in _only(lines)["message"]
