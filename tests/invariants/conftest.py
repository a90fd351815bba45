"""Journeys are walked in the world of the walk."""

from tests.payments.conftest import keys_file

__all__ = ["keys_file"]
