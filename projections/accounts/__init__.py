"""Accounts: the resource of API.md 3."""
