"""What can be asked of the ledger: commands, their decision and their answers."""
