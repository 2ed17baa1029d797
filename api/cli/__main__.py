"""`python -m api.cli` is `tally`."""

from api.cli import main

main()
