"""The picture of a payment's states in docs/money.md, drawn from the domain's own table.

`python -m infrastructure.state_diagram PAGE` (`make schemas`) puts it into the page, between two
marks; a test holds the committed page to it.
"""

import sys
from pathlib import Path
from typing import Final, get_args

from domain.transitions import TRANSITIONS, State

BEGINS: Final = "<!-- states: drawn by `make schemas` -->\n"
ENDS: Final = "<!-- end of states -->\n"


def diagram() -> str:
    """In Mermaid: an arrow from state to state, with the steps that lead there."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (before, step), after in TRANSITIONS.items():
        for state in get_args(State):
            if state in after:
                arrows.setdefault((before or "[*]", state), []).append(step)
    lines = [
        f"  {before} --> {state}: {', '.join(steps)}" for (before, state), steps in arrows.items()
    ]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```", ""])


def drawn(page: str) -> str:
    """The page with the picture of today."""
    before, _, rest = page.partition(BEGINS)
    _, mark, after = rest.partition(ENDS)
    assert mark, "the page has no place for it"
    return f"{before}{BEGINS}{diagram()}{ENDS}{after}"


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(drawn(file.read_text()))
