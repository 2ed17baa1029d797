"""Accounts: what clients see of one."""
