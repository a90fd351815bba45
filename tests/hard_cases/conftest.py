"""The hard cases meet the same world as the walk: real sockets, real books, and the API."""

from tests.serving import application, client, db, keys_file, teahouse, world

__all__ = ["application", "client", "db", "keys_file", "teahouse", "world"]
