"""How people reach the ledger: REST, the command line, and the composition root."""
