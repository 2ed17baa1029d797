"""JSON as requests may have it: UTF-8, no member twice, nothing that is not JSON."""

import json
from typing import Any, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""From the outermost value on: names of members, and places in arrays."""


class NotJson(ValueError):
    """Its text says what is wrong, and repeats nothing of what was sent."""


class DuplicateMember(NotJson):
    """One object has two members of one name; `path` leads to it."""

    def __init__(self, path: Path) -> None:
        super().__init__("An object has this member twice.")
        self.path = path


def parse(text: bytes) -> Any:
    """The value of a JSON text. Raises NotJson.

    Numbers with a fraction or an exponent become floats, which no model of ours takes.
    """
    try:
        return _parse(text.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise NotJson("The body is not UTF-8.") from error
    except RecursionError as error:
        raise NotJson("The body is nested too deeply.") from error
    except json.JSONDecodeError as error:
        raise NotJson(f"The body is not JSON (at character {error.pos}).") from error
    except NotJson:
        raise
    except ValueError as error:  # more digits than int() takes
        raise NotJson("The body has a number that is too long.") from error


class _Pairs(list[tuple[str, Any]]):
    """An object's members as they were written."""


def _parse(text: str) -> Any:
    any_twice = False

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal any_twice
        found = dict(pairs)
        any_twice |= len(found) < len(pairs)
        return found

    value = json.loads(text, object_pairs_hook=members, parse_constant=_no_constant)
    if any_twice and (path := _twice(json.loads(text, object_pairs_hook=_Pairs), ())):
        raise DuplicateMember(path)
    return value


def _twice(value: Any, path: Path) -> Path | None:
    """Where the first member is that its object has had before; None where there is no such."""
    seen: set[str | int] = set()
    steps = value if isinstance(value, _Pairs) else enumerate(value)
    for step, within in steps:
        if step in seen:
            return (*path, step)
        seen.add(step)
        if isinstance(within, list) and (found := _twice(within, (*path, step))):
            return found
    return None


def _no_constant(_: str) -> Any:
    raise NotJson("The body has a number that JSON doesn't know (NaN or Infinity).")
