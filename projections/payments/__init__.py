"""Payments: what clients see of one, refused ones too."""
