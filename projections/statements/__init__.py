"""Statements: every entry of an account, with what it takes to answer any period from an index."""
