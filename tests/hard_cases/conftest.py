"""The hard cases meet the same world as the walk: real sockets, real books."""

from tests.payments.conftest import keys_file, world

__all__ = ["keys_file", "world"]
