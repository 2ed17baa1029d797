"""What `tally bench` does: a load from a process of its own, on a ledger of its own, proved."""
