"""Balances: what each account has now, and what it had at every position before."""
