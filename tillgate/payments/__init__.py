"""Payments, attempts, refunds: the money path."""
