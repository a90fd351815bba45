"""Pretend providers that speak the true wire protocols; they import nothing of tillgate."""
