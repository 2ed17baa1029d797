"""What counts towards a velocity limit, in order of when it leaves the window.

Immutable, in blocks that know their sums: a copy of an account shares it, a change makes one block
anew, and with ten thousand entries neither change nor sum looks at more than a few hundred things.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import accumulate
from operator import attrgetter
from typing import Final, NamedTuple, TypeVar

MAX_BLOCK: Final = 128
"""About the square root of what there may be: as many blocks as entries in each."""


class Entry(NamedTuple):
    """All that leaves at one time."""

    at: datetime
    payments: int
    amount: int
    """In minor units."""


class Block(NamedTuple):
    payments: int
    amount: int
    entries: tuple[Entry, ...]
    """At least one; no two at the same time."""


Leaving = tuple[Block, ...]

Fits = Callable[[int, int], bool]
"""Whether so many payments, and so much, are few and little enough."""

Part = TypeVar("Part", Entry, Block)

_at = attrgetter("at")
_payments = attrgetter("payments")
_amount = attrgetter("amount")


def total(parts: Sequence[Entry] | Leaving) -> tuple[int, int]:
    """How many payments, and how much."""
    return sum(map(_payments, parts)), sum(map(_amount, parts))


def staying(leaving: Leaving, now: datetime) -> Leaving:
    """What hasn't left by then; what leaves that very microsecond has."""
    begun = bisect_right(leaving, now, key=_begin)
    if not begun:
        return leaving
    entries = leaving[begun - 1].entries
    entries = entries[bisect_right(entries, now, key=_at) :]
    return (*_blocks(entries), *leaving[begun:])


def with_entry(leaving: Leaving, entry: Entry) -> Leaving:
    """With that much more, or less where it is negative, that leaves then."""
    place = max(bisect_right(leaving, entry.at, key=_begin) - 1, 0)
    entries = leaving[place].entries if leaving else ()
    start = bisect_left(entries, entry.at, key=_at)
    end = bisect_right(entries, entry.at, key=_at)
    then = Entry(entry.at, *total((entry, *entries[start:end])))
    some = (then,) if then.payments or then.amount else ()
    return _with_block(leaving, place, (*entries[:start], *some, *entries[end:]))


def time_of_room(leaving: Leaving, fits: Fits) -> datetime:
    """When so much has left that what stays fits; what doesn't yet must when all has left."""
    block, payments, amount = _last_in_the_way(leaving, *total(leaving), fits)
    entry, _, _ = _last_in_the_way(block.entries, payments, amount, fits)
    return entry.at


def _last_in_the_way(
    parts: Sequence[Part], payments: int, amount: int, fits: Fits
) -> tuple[Part, int, int]:
    """The first with which gone it fits, and what there is until then."""
    less_payments = [*accumulate(map(_payments, parts))]
    less_amount = [*accumulate(map(_amount, parts))]

    def fits_without(last: int) -> bool:
        return fits(payments - less_payments[last], amount - less_amount[last])

    place = bisect_left(range(len(parts)), True, key=fits_without)
    part = parts[place]
    return (
        part,
        payments - less_payments[place] + part.payments,
        amount - less_amount[place] + part.amount,
    )


def _with_block(leaving: Leaving, place: int, entries: tuple[Entry, ...]) -> Leaving:
    """With these entries there, joined with neighbours that are as small: what is voided would
    leave a block for each entry that stays."""
    before, after = leaving[:place], leaving[place + 1 :]
    if before and len(before[-1].entries) + len(entries) <= MAX_BLOCK // 2:
        entries, before = before[-1].entries + entries, before[:-1]
    if after and len(entries) + len(after[0].entries) <= MAX_BLOCK // 2:
        entries, after = entries + after[0].entries, after[1:]
    return (*before, *_blocks(entries), *after)


def _begin(block: Block) -> datetime:
    return block.entries[0].at


def _blocks(entries: tuple[Entry, ...]) -> list[Block]:
    """None of none; two of what is too much for one."""
    half = len(entries) // 2 if len(entries) > MAX_BLOCK else 0
    return [Block(*total(part), part) for part in (entries[:half], entries[half:]) if part]
