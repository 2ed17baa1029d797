"""Every read model there is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from projections.balances.write import apply as apply_balances
from projections.tables import Projection

_HERE = Path(__file__).parent

PROJECTIONS: Final[dict[str, Projection]] = {
    projection.name: projection
    for projection in (
        Projection(
            name="balances",
            folder=_HERE / "balances",
            tables=("balances", "balances_history"),
            apply=apply_balances,
            summary="SELECT count(*), sum(posted), sum(available), sum(version)"
            " FROM tally_read.balances_history{g} WHERE position <= %(position)s",
        ),
    )
}
