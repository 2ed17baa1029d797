"""What can be measured, and on what."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from api.bench.jobs import Crew


class Setup(StrEnum):
    """What runs while it is measured."""

    ALONE = "write path alone"
    """The API and its writer, without projection workers."""
    ONE_COMMIT = "one commit a command"
    """The same, but that a batch holds one command: as if there were no group commit."""
    WORKERS = "with projections"
    """All that `tally up` runs."""
    GIVEN = "the product at the URL"


class Case(NamedTuple):
    """One measurement, made once in each round."""

    scenario: str
    setup: Setup
    crews: tuple[Crew, ...]
    lag: bool = False
    """Whether to look meanwhile how long events take to the read models."""


LADDER: Final = (1, 8, 32, 128)
FEW: Final = 2
"""Connections at which a group commit has nothing to group."""
LAG_A_SECOND: Final = 1_000
_BULKS: Final = 4
_LAG_CONNECTIONS: Final = 64

_Plan = Callable[[int], Iterable[tuple[tuple[Setup, ...], tuple[Crew, ...]]]]

_EACH: Final = (Setup.ALONE, Setup.WORKERS)
_COMPARED: Final = (Setup.ALONE, Setup.ONE_COMMIT, Setup.WORKERS)


def _crew(does: str, connections: int, a_second: float | None = None) -> Crew:
    return Crew(does=does, connections=connections, a_second=a_second)


_PLANS: Final[dict[str, _Plan]] = {
    "single spread": lambda most: [
        (_COMPARED, (_crew("spread", most),)),
        ((Setup.ALONE, Setup.ONE_COMMIT), (_crew("spread", FEW),)),
    ],
    "single hot": lambda most: [(_COMPARED, (_crew("hot", most),))],
    "ladder": lambda _: [(_EACH, (_crew("spread", each),)) for each in LADDER],
    "holds": lambda most: [(_EACH, (_crew("holds", most),))],
    "pay codes": lambda most: [((Setup.ALONE,), (_crew("pay codes", most),))],
    "bulk": lambda _: [(_EACH, (_crew("bulk", _BULKS),))],
    "bulk mixed with singles": lambda most: [
        ((Setup.ALONE,), (_crew("spread", most), _crew("bulk", 1)))
    ],
    "reads": lambda most: [((Setup.WORKERS,), (_crew("reads", most),))],
    "mixed": lambda most: [
        (
            (Setup.WORKERS,),
            (
                _crew("spread", max(1, most // 2)),
                _crew("holds", max(1, most // 8)),
                _crew("reads", max(1, most * 3 // 8)),
            ),
        )
    ],
    "lag": lambda _: [((Setup.WORKERS,), (_crew("spread", _LAG_CONNECTIONS, LAG_A_SECOND),))],
}

REPLAY: Final = "replay"
REBUILD: Final = "rebuild"
SCENARIOS: Final = (*_PLANS, REPLAY, REBUILD)


def cases(scenarios: Iterable[str], setups: Iterable[Setup], connections: int) -> list[Case]:
    """Those of the scenarios that can be measured on these setups, in the setups' order.

    A ledger that is given (`Setup.GIVEN`) is measured as one with projections.
    """
    return [
        Case(scenario, setup, crews, lag=scenario == "lag")
        for setup in setups
        for scenario in scenarios
        if scenario in _PLANS and not (setup is Setup.GIVEN and scenario == "lag")
        for on, crews in _PLANS[scenario](connections)
        if setup in on or (setup is Setup.GIVEN and Setup.WORKERS in on)
    ]
