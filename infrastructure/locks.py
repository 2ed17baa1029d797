"""PostgreSQL advisory locks, one number each (they are per database).

The migrations hold the same numbers, written out: a stored function can't import Python. A test
holds both together. The projections have a first number of their own, `ADVISORY_CLASS` in
projections/checkpoints.py.
"""

from typing import Final

EVENT_APPEND_LOCK: Final = 1_952_541_801
"""Held by `tally.append` until its transaction ends, so that one append follows the other."""

WRITER_TURN_LOCK: Final = 1_952_541_802
"""Taken shared by `tally.append`, exclusively (for a session) by a writer that lost a race."""

MIGRATION_LOCK: Final = 1_952_541_803
"""Held while migrating: two processes may start at once."""

ATTEMPTS_LOCK: Final = 1_952_541_805
"""Held by `tally.count_attempt` until its transaction ends: attempts are counted one by one."""

SWEEPER_LOCK: Final = 1_952_541_804
"""Held for a session by the process that looks for what is due."""

MIRROR_LOCK: Final = 1_952_541_811
"""Held for a session by the mirror that leads; first of two numbers, the second is 0."""
