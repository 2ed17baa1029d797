"""What a run has to prove: that the ledger holds what its answers said, and that its books are
right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from api.bench.filling import EVENTS_A_PAYMENT, EVENTS_AN_OPENING
from api.bench.jobs import Done

_EVENTS: Final[Mapping[str, Mapping[str, int]]] = {
    "openings": {"201": EVENTS_AN_OPENING},
    "pairs": {"201": EVENTS_A_PAYMENT},
    "spread": {"201": EVENTS_A_PAYMENT},
    "hot": {"201": EVENTS_A_PAYMENT},
    "bulk": {"201": EVENTS_A_PAYMENT},
    "holds": {"201": 3, "200": 4},
    "issued codes": {"201": 2},
    "pay codes": {"201": 4},
    "reads": {"200": 0},
}
"""How many events an answer says there are, by the work of its crew and its status. No other
status is one that a benchmark should get."""


class Proof(msgspec.Struct, kw_only=True):
    """Of one store after all that was done to it."""

    answered: int
    """Events that there are by the answers."""
    committed: int
    """Events that there are."""
    other_answers: dict[str, int]
    """By work and status: answers that a benchmark should not get."""
    sums: dict[str, int]
    """By currency: debit balances less credit balances."""
    differences: list[str]
    """What `tally reconcile` found, where the store is ours to look at."""
    good: bool


class Books:
    """Of one store: adds up what the answers say."""

    def __init__(self, start: int) -> None:
        """`start` is the end of the store before."""
        self._start = start
        self._answered = 0
        self._others: Counter[str] = Counter()

    def answered(self, crews: Iterable[Done]) -> None:
        for crew in crews:
            self.count(crew.does, crew.answers)

    def count(self, does: str, answers: Mapping[str, int]) -> None:
        """So many answers by status."""
        for status, times in answers.items():
            events = _EVENTS[does].get(status)
            if events is None:
                self._others[f"{does}: {status}"] += times
            else:
                self._answered += events * times

    def proved(self, end: int, *, sums: Mapping[str, int], differences: Iterable[str]) -> Proof:
        """Against what is in the store; `end` is its end after all of it."""
        committed, found = end - self._start, list(differences)
        return Proof(
            answered=self._answered,
            committed=committed,
            other_answers=dict(self._others),
            sums=dict(sums),
            differences=found,
            good=not (committed != self._answered or self._others or any(sums.values()) or found),
        )
