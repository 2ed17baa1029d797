"""How `tally` starts itself as another process."""

import os
import sys
from pathlib import Path
from typing import Final

PROGRAM: Final = (sys.executable, "-P", "-m", "api.cli")
"""`-P`: a folder `api` where it is started is not ours."""

_ROOT: Final = str(Path(__file__).parents[2])


def environment() -> dict[str, str]:
    """Our own, with the place we were imported from: a checkout need not be installed."""
    return os.environ | {"PYTHONPATH": _ROOT}
