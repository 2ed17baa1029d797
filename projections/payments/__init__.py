"""Payments: the resource of API.md 4, refused ones too."""
