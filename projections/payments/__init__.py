"""Payments, refused ones too, and what they come from: payment requests, pay codes, devices."""
