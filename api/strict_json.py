"""JSON as requests may have it: UTF-8, no member twice, nothing that is not JSON."""

import json
from typing import Any, Final


class NotJson(ValueError):
    """Its text says what is wrong, and repeats nothing of what was sent."""


class DuplicateMember(NotJson):
    """One object has two members of one name; `name` is the one."""

    def __init__(self, name: str) -> None:
        super().__init__("An object has this member twice.")
        self.name = name


MAX_DEPTH_TOLD: Final = "The body is nested too deeply."


def parse(text: bytes) -> Any:
    """The value of a JSON text. Raises NotJson.

    Numbers with a fraction or an exponent become floats, which no model of ours takes.
    """
    try:
        return json.loads(
            text.decode("utf-8"), object_pairs_hook=_members, parse_constant=_no_constant
        )
    except UnicodeDecodeError as error:
        raise NotJson("The body is not UTF-8.") from error
    except RecursionError as error:
        raise NotJson(MAX_DEPTH_TOLD) from error
    except json.JSONDecodeError as error:
        raise NotJson(f"The body is not JSON (at character {error.pos}).") from error
    except NotJson:
        raise
    except ValueError as error:  # more digits than int() takes
        raise NotJson("The body has a number that is too long.") from error


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise DuplicateMember(name)
            seen.add(name)
    return members


def _no_constant(_: str) -> Any:
    raise NotJson("The body has a number that JSON doesn't know (NaN or Infinity).")
