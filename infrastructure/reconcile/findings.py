"""How the parts of a reconciliation say what they find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Found = Callable[[str], None]
"""Called with each difference."""
Check = Callable[[bool, str], None]
"""Called with what must be so, and what is said otherwise."""
Row = tuple[Any, ...]
"""Of a read model, as it is or as it must be."""


def check_at(position: int, found: Found) -> Check:
    """Finds what is not so of the event there."""

    def check(is_so: bool, otherwise: str) -> None:
        if not is_so:
            found(f"event {position}: {otherwise}")

    return check
