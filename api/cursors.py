"""Cursors: where a walk through a list goes on, opaque to clients.

A cursor holds immutable keys of the domain and, where the list is pinned, the position of its
first page; so it survives a rebuild of the read model. It belongs to one list: the path and the
filters it was made with.
"""

import binascii
import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final, NamedTuple

from api.problems import Problem

MAX_CURSOR_LENGTH: Final = 1000
_LARGEST: Final = 2**63 - 1


class Cursor(NamedTuple):
    keys: Sequence[Any]
    """The last item's: numbers and text."""
    position: int | None
    """The position that the whole walk is true at; None where each page has its own."""


class CursorCodec:
    """Reads and writes the cursors of one list."""

    def __init__(self, path: str, filters: Mapping[str, Any], kinds: Sequence[type]) -> None:
        """`filters` are the parameters that make the list what it is (not `limit`); `kinds` the
        types of the keys: int, str or date."""
        told = {name: str(value) for name, value in filters.items() if value is not None}
        meaning = json.dumps([path, told], sort_keys=True).encode()
        self._list = hashlib.sha256(meaning).hexdigest()[:16]
        self._kinds = kinds

    def write(self, keys: Sequence[Any] | None, position: int | None = None) -> str | None:
        """None where the list ends: there are no keys to go on after."""
        if keys is None:
            return None
        told = [key.isoformat() if isinstance(key, date) else key for key in keys]
        text = json.dumps([self._list, position, *told], separators=(",", ":"))
        return urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def read(self, sent: str | None) -> Cursor | None:
        """None where none was sent. Raises Problem: cursor_invalid."""
        if sent is None:
            return None
        try:
            if len(sent) > MAX_CURSOR_LENGTH:
                raise ValueError
            padded = sent.encode("ascii") + b"=" * (-len(sent) % 4)
            of_list, position, *told = json.loads(urlsafe_b64decode(padded))
            keys = [_key(kind, key) for kind, key in zip(self._kinds, told, strict=True)]
            if of_list != self._list or not (position is None or _is_number(position)):
                raise ValueError
        except (ValueError, TypeError, binascii.Error, RecursionError):
            raise Problem("cursor_invalid") from None
        return Cursor(keys, position)


def _key(kind: type, told: Any) -> Any:
    if kind is date and isinstance(told, str):
        return date.fromisoformat(told)
    if (kind is int and _is_number(told)) or (kind is str and isinstance(told, str)):
        if isinstance(told, str) and (not told.isprintable() or not told.isascii()):
            raise ValueError
        return told
    raise ValueError


def _is_number(told: Any) -> bool:
    return type(told) is int and 0 <= told <= _LARGEST
