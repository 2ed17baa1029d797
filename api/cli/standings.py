"""What stands still and why, read from the store itself."""

from typing import Any, NamedTuple

from psycopg import Connection
from psycopg.errors import UndefinedTable
from psycopg.rows import class_row

from projections.registry import PROJECTIONS


class Standing(NamedTuple):
    name: str
    position: int
    """Everything up to here is applied; 0 before the first worker has run."""
    halted: str | None
    """Why it stands still, with the position of the event that it can't apply."""
    is_there: bool = True

    @property
    def follows(self) -> bool:
        """Whether it takes up what comes, sooner or later."""
        return self.is_there and self.halted is None


def mirror_refusal(conn: Connection[Any]) -> str | None:
    """Why the mirror doesn't run; None where it does, or never did."""
    row = conn.execute("SELECT refused FROM tally.mirror").fetchone()
    return row[0] if row else None


def standings(conn: Connection[Any]) -> list[Standing]:
    """One for each read model there should be."""
    try:
        with conn.transaction(), conn.cursor(row_factory=class_row(Standing)) as cursor:
            cursor.execute(
                "SELECT projection AS name, min(position) AS position,"
                " max('position ' || halted_position || ': ' || halted_reason) AS halted"
                " FROM tally_read.pointers JOIN tally_read.checkpoints"
                " USING (projection, generation) GROUP BY projection"
            )
            found = {standing.name: standing for standing in cursor}
    except UndefinedTable:
        found = {}
    return [found.get(name, Standing(name, 0, None, is_there=False)) for name in PROJECTIONS]
